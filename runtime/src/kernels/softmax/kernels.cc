// The list of softmax kernels.
#include "base/cpu_features.h"
#include "kernels/softmax/contract.h"

namespace ptq {

const SoftmaxKernel kSoftmaxKernels[] = {
    {"softmax_f32_x1__scalar", kCpuScalar, softmax_f32_x1__scalar},
};
const size_t kSoftmaxKernelCount = sizeof kSoftmaxKernels / sizeof kSoftmaxKernels[0];

}  // namespace ptq
