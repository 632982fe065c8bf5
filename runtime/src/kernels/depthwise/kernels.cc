// The list of depthwise kernels.
#include "base/cpu_features.h"
#include "kernels/depthwise/contract.h"
#include "kernels/depthwise/pack.h"
#include "kernels/depthwise/row_groups.h"

namespace ptq {
namespace {

constexpr auto kTapsOutermost = PackTapsOutermost<float>();
#if defined(__x86_64__)
constexpr uint32_t kAvxVnni = kCpuAvx2 | kCpuAvxVnni;
constexpr uint32_t kAvx512Vnni = kCpuAvx2 | kCpuAvx512Vnni;
constexpr auto kRowPairs = PackRowGroups<int16_t, 16>();
constexpr auto kRowQuads = PackRowGroups<int8_t, 64>();
constexpr auto kRowQuads256 = PackRowGroups<int8_t, 32>();
#elif defined(__aarch64__)
constexpr uint32_t kDotprod = kCpuNeon | kCpuDotprod;
constexpr auto kRowQuads = PackRowGroups<int8_t, 16>();
constexpr auto kChannelBlocks = PackChannelBlocks<int8_t, 16>();
constexpr bool kShiftedSums = true;
#elif defined(__ARM_NEON)
constexpr auto kChannelBlocks = PackChannelBlocks<int8_t, 8>();
constexpr bool kShiftedSums = false;
#endif

}  // namespace

const DepthwiseF32Kernel kDepthwiseF32Kernels[] = {
#if defined(__x86_64__)
    {"depthwise_f32_3x3s1__avx512vnni", kAvx512Vnni, 3, 3, 1, 1, 0, kTapsOutermost,
     depthwise_f32_3x3s1__avx512vnni},
    {"depthwise_f32_3x3s2__avx512vnni", kAvx512Vnni, 3, 3, 2, 1, 0, kTapsOutermost,
     depthwise_f32_3x3s2__avx512vnni},
    {"depthwise_f32_5x5s1__avx512vnni", kAvx512Vnni, 5, 5, 1, 1, 0, kTapsOutermost,
     depthwise_f32_5x5s1__avx512vnni},
    {"depthwise_f32_5x5s2__avx512vnni", kAvx512Vnni, 5, 5, 2, 1, 0, kTapsOutermost,
     depthwise_f32_5x5s2__avx512vnni},
    {"depthwise_f32_1x64__avx512vnni", kAvx512Vnni, 0, 0, 0, 0, 0, kTapsOutermost,
     depthwise_f32_1x64__avx512vnni},
    {"depthwise_f32_3x3s1__avx2", kCpuAvx2, 3, 3, 1, 1, 0, kTapsOutermost,
     depthwise_f32_3x3s1__avx2},
    {"depthwise_f32_3x3s2__avx2", kCpuAvx2, 3, 3, 2, 1, 0, kTapsOutermost,
     depthwise_f32_3x3s2__avx2},
    {"depthwise_f32_5x5s1__avx2", kCpuAvx2, 5, 5, 1, 1, 0, kTapsOutermost,
     depthwise_f32_5x5s1__avx2},
    {"depthwise_f32_5x5s2__avx2", kCpuAvx2, 5, 5, 2, 1, 0, kTapsOutermost,
     depthwise_f32_5x5s2__avx2},
    {"depthwise_f32_1x32__avx2", kCpuAvx2, 0, 0, 0, 0, 0, kTapsOutermost, depthwise_f32_1x32__avx2},
#elif defined(__ARM_NEON)
    {"depthwise_f32_3x3s1__neon", kCpuNeon, 3, 3, 1, 1, 0, kTapsOutermost,
     depthwise_f32_3x3s1__neon},
    {"depthwise_f32_3x3s2__neon", kCpuNeon, 3, 3, 2, 1, 0, kTapsOutermost,
     depthwise_f32_3x3s2__neon},
#if defined(__aarch64__)
    {"depthwise_f32_5x5s1__neon", kCpuNeon, 5, 5, 1, 1, 0, kTapsOutermost,
     depthwise_f32_5x5s1__neon},
    {"depthwise_f32_5x5s2__neon", kCpuNeon, 5, 5, 2, 1, 0, kTapsOutermost,
     depthwise_f32_5x5s2__neon},
#endif
    {"depthwise_f32_1x16__neon", kCpuNeon, 0, 0, 0, 0, 0, kTapsOutermost, depthwise_f32_1x16__neon},
#endif
    {"depthwise_f32_1x16__scalar", kCpuScalar, 0, 0, 0, 0, 0, kTapsOutermost,
     depthwise_f32_1x16__scalar},
};
const size_t kDepthwiseF32KernelCount =
    sizeof kDepthwiseF32Kernels / sizeof kDepthwiseF32Kernels[0];

#if defined(__aarch64__)
constexpr uint32_t kFp16 = kCpuNeon | kCpuFp16;
constexpr auto kHalfTapsOutermost = PackTapsOutermost<Half>();
static const DepthwiseF16Kernel kF16Kernels[] = {
    {"depthwise_f16_3x3s1__neon_fp16", kFp16, 3, 3, 1, 1, 0, kHalfTapsOutermost,
     depthwise_f16_3x3s1__neon_fp16},
    {"depthwise_f16_3x3s2__neon_fp16", kFp16, 3, 3, 2, 1, 0, kHalfTapsOutermost,
     depthwise_f16_3x3s2__neon_fp16},
    {"depthwise_f16_5x5s1__neon_fp16", kFp16, 5, 5, 1, 1, 0, kHalfTapsOutermost,
     depthwise_f16_5x5s1__neon_fp16},
    {"depthwise_f16_5x5s2__neon_fp16", kFp16, 5, 5, 2, 1, 0, kHalfTapsOutermost,
     depthwise_f16_5x5s2__neon_fp16},
    {"depthwise_f16_1x32__neon_fp16", kFp16, 0, 0, 0, 0, 0, kHalfTapsOutermost,
     depthwise_f16_1x32__neon_fp16},
};
const DepthwiseF16Kernel* const kDepthwiseF16Kernels = kF16Kernels;
const size_t kDepthwiseF16KernelCount = sizeof kF16Kernels / sizeof kF16Kernels[0];
#else
const DepthwiseF16Kernel* const kDepthwiseF16Kernels = nullptr;
const size_t kDepthwiseF16KernelCount = 0;
#endif

const DepthwiseI8Kernel kDepthwiseI8Kernels[] = {
#if defined(__x86_64__)
    {"depthwise_i8_3x3s1__avx512vnni", kAvx512Vnni, 3, 3, 1, 1, 128, kRowQuads,
     depthwise_i8_3x3s1__avx512vnni},
    {"depthwise_i8_3x3s2__avx512vnni", kAvx512Vnni, 3, 3, 2, 1, 128, kRowQuads,
     depthwise_i8_3x3s2__avx512vnni},
    {"depthwise_i8_5x5s1__avx512vnni", kAvx512Vnni, 5, 5, 1, 1, 128, kRowQuads,
     depthwise_i8_5x5s1__avx512vnni},
    {"depthwise_i8_5x5s2__avx512vnni", kAvx512Vnni, 5, 5, 2, 1, 128, kRowQuads,
     depthwise_i8_5x5s2__avx512vnni},
    {"depthwise_i8_1x64__avx512vnni", kAvx512Vnni, 0, 0, 0, 0, 128, kRowQuads,
     depthwise_i8_1x64__avx512vnni},
    {"depthwise_i8_3x3s1__avxvnni", kAvxVnni, 3, 3, 1, 1, 128, kRowQuads256,
     depthwise_i8_3x3s1__avxvnni},
    {"depthwise_i8_3x3s2__avxvnni", kAvxVnni, 3, 3, 2, 1, 128, kRowQuads256,
     depthwise_i8_3x3s2__avxvnni},
    {"depthwise_i8_5x5s1__avxvnni", kAvxVnni, 5, 5, 1, 1, 128, kRowQuads256,
     depthwise_i8_5x5s1__avxvnni},
    {"depthwise_i8_5x5s2__avxvnni", kAvxVnni, 5, 5, 2, 1, 128, kRowQuads256,
     depthwise_i8_5x5s2__avxvnni},
    {"depthwise_i8_1x32__avxvnni", kAvxVnni, 0, 0, 0, 0, 128, kRowQuads256,
     depthwise_i8_1x32__avxvnni},
    {"depthwise_i8_3x3s1__avx2", kCpuAvx2, 3, 3, 1, 1, 0, kRowPairs, depthwise_i8_3x3s1__avx2},
    {"depthwise_i8_3x3s2__avx2", kCpuAvx2, 3, 3, 2, 1, 0, kRowPairs, depthwise_i8_3x3s2__avx2},
    {"depthwise_i8_5x5s1__avx2", kCpuAvx2, 5, 5, 1, 1, 0, kRowPairs, depthwise_i8_5x5s1__avx2},
    {"depthwise_i8_5x5s2__avx2", kCpuAvx2, 5, 5, 2, 1, 0, kRowPairs, depthwise_i8_5x5s2__avx2},
    {"depthwise_i8_1x16__avx2", kCpuAvx2, 0, 0, 0, 0, 0, kRowPairs, depthwise_i8_1x16__avx2},
#elif defined(__aarch64__)
    {"depthwise_i8_3x3s1__dotprod", kDotprod, 3, 3, 1, 1, 0, kRowQuads, depthwise_i8_3x3s1__dotprod,
     true},
    {"depthwise_i8_3x3s2__dotprod", kDotprod, 3, 3, 2, 1, 0, kRowQuads, depthwise_i8_3x3s2__dotprod,
     true},
    {"depthwise_i8_5x5s1__dotprod", kDotprod, 5, 5, 1, 1, 0, kRowQuads, depthwise_i8_5x5s1__dotprod,
     true},
    {"depthwise_i8_5x5s2__dotprod", kDotprod, 5, 5, 2, 1, 0, kRowQuads, depthwise_i8_5x5s2__dotprod,
     true},
#endif
#if defined(__ARM_NEON)
    {"depthwise_i8_3x3s1__neon", kCpuNeon, 3, 3, 1, 1, 0, kChannelBlocks, depthwise_i8_3x3s1__neon,
     kShiftedSums},
    {"depthwise_i8_3x3s2__neon", kCpuNeon, 3, 3, 2, 1, 0, kChannelBlocks, depthwise_i8_3x3s2__neon,
     kShiftedSums},
    {"depthwise_i8_5x5__neon", kCpuNeon, 5, 5, 0, 1, 0, kChannelBlocks, depthwise_i8_5x5__neon,
     kShiftedSums},
#endif
    {"depthwise_i8_1x16__scalar", kCpuScalar, 0, 0, 0, 0, 0, PackTapsOutermost<int8_t>(),
     depthwise_i8_1x16__scalar},
};
const size_t kDepthwiseI8KernelCount = sizeof kDepthwiseI8Kernels / sizeof kDepthwiseI8Kernels[0];

}  // namespace ptq
