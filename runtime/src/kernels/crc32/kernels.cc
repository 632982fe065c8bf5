// The list of CRC-32 kernels.
#include "base/cpu_features.h"
#include "kernels/crc32/contract.h"

namespace ptq {

const Crc32Kernel kCrc32Kernels[] = {
#if defined(__x86_64__)
    {"crc32_x64__pclmul", kCpuPclmul, crc32_x64__pclmul},
#endif
#if defined(__aarch64__)
    {"crc32_x8__crc", kCpuCrc, crc32_x8__crc},
#endif
    {"crc32_x8__scalar", kCpuScalar, crc32_x8__scalar},
};
const size_t kCrc32KernelCount = sizeof kCrc32Kernels / sizeof kCrc32Kernels[0];

}  // namespace ptq
