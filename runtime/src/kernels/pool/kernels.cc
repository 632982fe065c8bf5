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

#if defined(__aarch64__)
static const PoolF16Kernel kMaxF16Kernels[] = {
    {"max_pool_f16_1x32__neon_fp16", kCpuNeon | kCpuFp16, max_pool_f16_1x32__neon_fp16},
};
static const PoolF16Kernel kAverageF16Kernels[] = {
    {"average_pool_f16_1x16__neon_fp16", kCpuNeon | kCpuFp16, average_pool_f16_1x16__neon_fp16},
};
const PoolF16Kernel *const kMaxPoolF16Kernels = kMaxF16Kernels, *const kAveragePoolF16Kernels =
                                                                    kAverageF16Kernels;
const size_t kMaxPoolF16KernelCount = sizeof kMaxF16Kernels / sizeof kMaxF16Kernels[0],
             kAveragePoolF16KernelCount = sizeof kAverageF16Kernels / sizeof kAverageF16Kernels[0];
#else
const PoolF16Kernel *const kMaxPoolF16Kernels = nullptr, *const kAveragePoolF16Kernels = nullptr;
const size_t kMaxPoolF16KernelCount = 0, kAveragePoolF16KernelCount = 0;
#endif

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
