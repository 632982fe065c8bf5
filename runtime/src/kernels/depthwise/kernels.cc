// The list of depthwise kernels.
#include "base/cpu_features.h"
#include "kernels/depthwise/contract.h"
#include "kernels/depthwise/pack.h"

namespace ptq {

const DepthwiseF32Kernel kDepthwiseF32Kernels[] = {
#if defined(__x86_64__)
    {"depthwise_f32_1x16__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, 0, 0, 0, 0, 0,
     PackTapsOutermost<float>(), depthwise_f32_1x16__avx512vnni},
    {"depthwise_f32_1x16__avx2", kCpuAvx2, 0, 0, 0, 0, 0, PackTapsOutermost<float>(),
     depthwise_f32_1x16__avx2},
#endif
    {"depthwise_f32_1x16__scalar", kCpuScalar, 0, 0, 0, 0, 0, PackTapsOutermost<float>(),
     depthwise_f32_1x16__scalar},
};
const size_t kDepthwiseF32KernelCount =
    sizeof kDepthwiseF32Kernels / sizeof kDepthwiseF32Kernels[0];

const DepthwiseI8Kernel kDepthwiseI8Kernels[] = {
#if defined(__x86_64__)
    {"depthwise_i8_1x16__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, 0, 0, 0, 0, 0,
     PackTapsOutermost<int8_t>(), depthwise_i8_1x16__avx512vnni},
    {"depthwise_i8_1x16__avx2", kCpuAvx2, 0, 0, 0, 0, 0, PackTapsOutermost<int8_t>(),
     depthwise_i8_1x16__avx2},
#endif
    {"depthwise_i8_1x16__scalar", kCpuScalar, 0, 0, 0, 0, 0, PackTapsOutermost<int8_t>(),
     depthwise_i8_1x16__scalar},
};
const size_t kDepthwiseI8KernelCount = sizeof kDepthwiseI8Kernels / sizeof kDepthwiseI8Kernels[0];

}  // namespace ptq
