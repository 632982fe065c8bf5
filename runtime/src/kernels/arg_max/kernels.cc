// The lists of arg_max kernels.
#include "base/cpu_features.h"
#include "kernels/arg_max/contract.h"

namespace ptq {

const ArgMaxKernel<float> kArgMaxF32Kernels[] = {
    {"arg_max_f32_x16__scalar", kCpuScalar, arg_max_columns_f32_x16__scalar,
     arg_max_rows_f32_x16__scalar},
};
const size_t kArgMaxF32KernelCount = sizeof kArgMaxF32Kernels / sizeof kArgMaxF32Kernels[0];

const ArgMaxKernel<int8_t> kArgMaxI8Kernels[] = {
    {"arg_max_i8_x16__scalar", kCpuScalar, arg_max_columns_i8_x16__scalar,
     arg_max_rows_i8_x16__scalar},
};
const size_t kArgMaxI8KernelCount = sizeof kArgMaxI8Kernels / sizeof kArgMaxI8Kernels[0];

}  // namespace ptq
