// The list of resize kernels.
#include "base/cpu_features.h"
#include "kernels/resize/contract.h"

namespace ptq {

const ResizeF32Kernel kResizeF32Kernels[] = {
#if defined(__x86_64__)
    {"resize_linear_f32_x32__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni,
     resize_linear_f32_x32__avx512vnni},
    {"resize_linear_f32_x16__avx2", kCpuAvx2, resize_linear_f32_x16__avx2},
#endif
    {"resize_linear_f32_x8__scalar", kCpuScalar, resize_linear_f32_x8__scalar},
};
const size_t kResizeF32KernelCount = sizeof kResizeF32Kernels / sizeof kResizeF32Kernels[0];

}  // namespace ptq
