// The list of depthwise kernels.
#include "base/cpu_features.h"
#include "kernels/depthwise/contract.h"

namespace ptq {

const DepthwiseF32Kernel kDepthwiseF32Kernels[] = {
    {"depthwise_f32_1x16__scalar", kCpuScalar, depthwise_f32_1x16__scalar},
};
const size_t kDepthwiseF32KernelCount =
    sizeof kDepthwiseF32Kernels / sizeof kDepthwiseF32Kernels[0];

const DepthwiseI8Kernel kDepthwiseI8Kernels[] = {
    {"depthwise_i8_1x16__scalar", kCpuScalar, depthwise_i8_1x16__scalar},
};
const size_t kDepthwiseI8KernelCount = sizeof kDepthwiseI8Kernels / sizeof kDepthwiseI8Kernels[0];

}  // namespace ptq
