// The list of softmax kernels.
#include "base/cpu_features.h"
#include "kernels/softmax/contract.h"

namespace ptq {

const SoftmaxKernel kSoftmaxKernels[] = {
#if defined(__x86_64__)
    {"softmax_f32_x32__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, softmax_f32_x32__avx512vnni},
    {"softmax_f32_x16__avx2", kCpuAvx2, softmax_f32_x16__avx2},
#endif
    {"softmax_f32_x8__scalar", kCpuScalar, softmax_f32_x8__scalar},
};
const size_t kSoftmaxKernelCount = sizeof kSoftmaxKernels / sizeof kSoftmaxKernels[0];

}  // namespace ptq
