// The list of gemm kernels.
#include "base/cpu_features.h"
#include "kernels/gemm/contract.h"

namespace ptq {

const GemmF32Kernel kGemmF32Kernels[] = {
#if defined(__x86_64__)
    {"gemm_f32_12x32__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, 12, 32, gemm_f32_12x32__avx512vnni},
    {"gemm_f32_6x16__avx2", kCpuAvx2, 6, 16, gemm_f32_6x16__avx2},
#endif
#if defined(__aarch64__)
    {"gemm_f32_12x8__neon", kCpuNeon, 36, 8, gemm_f32_12x8__neon, 12, true},
#elif defined(__arm__)
    {"gemm_f32_4x8__armv7", kCpuNeon, 28, 8, gemm_f32_4x8__armv7},
#endif
    {"gemm_f32_4x8__scalar", kCpuScalar, 4, 8, gemm_f32_4x8__scalar},
};
const size_t kGemmF32KernelCount = sizeof kGemmF32Kernels / sizeof kGemmF32Kernels[0];

#if defined(__aarch64__)
static const GemmF16Kernel kF16Kernels[] = {
    {"gemm_f16_12x16__neon_fp16", kCpuNeon | kCpuFp16, 36, 16, gemm_f16_12x16__neon_fp16, 12, true},
};
const GemmF16Kernel* const kGemmF16Kernels = kF16Kernels;
const size_t kGemmF16KernelCount = sizeof kF16Kernels / sizeof kF16Kernels[0];
#else
const GemmF16Kernel* const kGemmF16Kernels = nullptr;
const size_t kGemmF16KernelCount = 0;
#endif

const GemmI8Kernel kGemmI8Kernels[] = {
#if defined(__x86_64__)
    {"gemm_i8_64x32__amx", kCpuAvx2 | kCpuAvx512Vnni | kCpuAmxInt8, 64, 32, 4, 64, 0,
     gemm_i8_64x32__amx, 32, false, true},
    {"gemm_i8_12x32__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, 12, 32, 4, 4, 128,
     gemm_i8_12x32__avx512vnni},
    {"gemm_i8_6x16__avxvnni", kCpuAvx2 | kCpuAvxVnni, 6, 16, 4, 4, 128, gemm_i8_6x16__avxvnni},
    {"gemm_i8_6x16__avx2", kCpuAvx2, 6, 16, 2, 2, 0, gemm_i8_6x16__avx2},
#endif
#if defined(__aarch64__)
    {"gemm_i8_6x16__i8mm", kCpuNeon | kCpuI8mm, 30, 16, 8, 8, 0, gemm_i8_6x16__i8mm, 6, true},
    {"gemm_i8_5x16__dotprod", kCpuNeon | kCpuDotprod, 25, 16, 4, 4, 0, gemm_i8_5x16__dotprod, 5,
     true},
    {"gemm_i8_4x4__neon", kCpuNeon, 28, 4, 16, 16, 0, gemm_i8_4x4__neon, 4, true},
#elif defined(__arm__)
    {"gemm_i8_2x4__armv7", kCpuNeon, 28, 4, 16, 16, 0, gemm_i8_2x4__armv7},
#endif
    {"gemm_i8_4x8__scalar", kCpuScalar, 4, 8, 1, 1, 0, gemm_i8_4x8__scalar},
};
const size_t kGemmI8KernelCount = sizeof kGemmI8Kernels / sizeof kGemmI8Kernels[0];

}  // namespace ptq
