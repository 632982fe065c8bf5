// The lists of reduce kernels.
#include "base/cpu_features.h"
#include "kernels/reduce/contract.h"

namespace ptq {

const ReduceF32Kernel kReduceF32Kernels[] = {
#if defined(__x86_64__)
    {"reduce_f32_x16__avx2", kCpuAvx2, reduce_columns_f32_x16__avx2, reduce_row_f32_x16__avx2},
#endif
    {"reduce_f32_x8__scalar", kCpuScalar, reduce_columns_f32_x8__scalar, reduce_row_f32_x8__scalar},
};
const size_t kReduceF32KernelCount = sizeof kReduceF32Kernels / sizeof kReduceF32Kernels[0];

const ReduceI8Kernel kReduceI8Kernels[] = {
#if defined(__x86_64__)
    {"reduce_i8_x32__avx2", kCpuAvx2, reduce_columns_i8_x32__avx2, reduce_row_i8_x32__avx2},
#endif
    {"reduce_i8_x32__scalar", kCpuScalar, reduce_columns_i8_x32__scalar, reduce_row_i8_x32__scalar},
};
const size_t kReduceI8KernelCount = sizeof kReduceI8Kernels / sizeof kReduceI8Kernels[0];

}  // namespace ptq
