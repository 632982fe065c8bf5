// The lists of pooling kernels.
#include "base/cpu_features.h"
#include "kernels/pool/contract.h"

namespace ptq {

const PoolF32Kernel kMaxPoolF32Kernels[] = {
#if defined(__x86_64__)
    {"max_pool_f32_1x64__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, max_pool_f32_1x64__avx512vnni},
    {"max_pool_f32_1x32__avx2", kCpuAvx2, max_pool_f32_1x32__avx2},
#endif
    {"max_pool_f32_1x16__scalar", kCpuScalar, max_pool_f32_1x16__scalar},
};
const size_t kMaxPoolF32KernelCount = sizeof kMaxPoolF32Kernels / sizeof kMaxPoolF32Kernels[0];

const PoolF32Kernel kAveragePoolF32Kernels[] = {
#if defined(__x86_64__)
    {"average_pool_f32_1x64__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni,
     average_pool_f32_1x64__avx512vnni},
    {"average_pool_f32_1x32__avx2", kCpuAvx2, average_pool_f32_1x32__avx2},
#endif
    {"average_pool_f32_1x16__scalar", kCpuScalar, average_pool_f32_1x16__scalar},
};
const size_t kAveragePoolF32KernelCount =
    sizeof kAveragePoolF32Kernels / sizeof kAveragePoolF32Kernels[0];

const PoolI8Kernel kMaxPoolI8Kernels[] = {
#if defined(__x86_64__)
    {"max_pool_i8_1x256__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, max_pool_i8_1x256__avx512vnni},
    {"max_pool_i8_1x128__avx2", kCpuAvx2, max_pool_i8_1x128__avx2},
#endif
    {"max_pool_i8_1x64__scalar", kCpuScalar, max_pool_i8_1x64__scalar},
};
const size_t kMaxPoolI8KernelCount = sizeof kMaxPoolI8Kernels / sizeof kMaxPoolI8Kernels[0];

const PoolI8Kernel kAveragePoolI8Kernels[] = {
#if defined(__x86_64__)
    {"average_pool_i8_1x128__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni,
     average_pool_i8_1x128__avx512vnni},
    {"average_pool_i8_1x64__avx2", kCpuAvx2, average_pool_i8_1x64__avx2},
#endif
    {"average_pool_i8_1x32__scalar", kCpuScalar, average_pool_i8_1x32__scalar},
};
const size_t kAveragePoolI8KernelCount =
    sizeof kAveragePoolI8Kernels / sizeof kAveragePoolI8Kernels[0];

}  // namespace ptq
