// The list of unary kernels.
#include "base/cpu_features.h"
#include "kernels/unary/contract.h"

namespace ptq {

const UnaryF32Kernel kUnaryF32Kernels[] = {
#if defined(__x86_64__)
    {"unary_f32_x32__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, unary_f32_x32__avx512vnni},
    {"unary_f32_x16__avx2", kCpuAvx2, unary_f32_x16__avx2},
#endif
    {"unary_f32_x8__scalar", kCpuScalar, unary_f32_x8__scalar},
};
const size_t kUnaryF32KernelCount = sizeof kUnaryF32Kernels / sizeof kUnaryF32Kernels[0];

#if defined(__aarch64__)
static const UnaryF16Kernel kF16Kernels[] = {
    {"unary_f16_x8__neon_fp16", kCpuNeon | kCpuFp16, unary_f16_x8__neon_fp16},
};
const UnaryF16Kernel* const kUnaryF16Kernels = kF16Kernels;
const size_t kUnaryF16KernelCount = sizeof kF16Kernels / sizeof kF16Kernels[0];
#else
const UnaryF16Kernel* const kUnaryF16Kernels = nullptr;
const size_t kUnaryF16KernelCount = 0;
#endif

}  // namespace ptq
