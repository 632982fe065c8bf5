// The list of gemm kernels.
#include "base/cpu_features.h"
#include "kernels/gemm/contract.h"

namespace ptq {

const GemmF32Kernel kGemmF32Kernels[] = {
    {"gemm_f32_4x8__scalar", kCpuScalar, 4, 8, gemm_f32_4x8__scalar},
};
const size_t kGemmF32KernelCount = sizeof kGemmF32Kernels / sizeof kGemmF32Kernels[0];

const GemmI8Kernel kGemmI8Kernels[] = {
    {"gemm_i8_4x8__scalar", kCpuScalar, 4, 8, gemm_i8_4x8__scalar},
};
const size_t kGemmI8KernelCount = sizeof kGemmI8Kernels / sizeof kGemmI8Kernels[0];

}  // namespace ptq
