// The table of kernel lists.
#include "tools/kernel_lists.h"

#include <string.h>

#include "base/cpu_features.h"
#include "kernels/arg_max/contract.h"
#include "kernels/convert/contract.h"
#include "kernels/copy/contract.h"
#include "kernels/crc32/contract.h"
#include "kernels/depthwise/contract.h"
#include "kernels/elementwise/contract.h"
#include "kernels/gemm/contract.h"
#include "kernels/move/contract.h"
#include "kernels/pool/contract.h"
#include "kernels/reduce/contract.h"
#include "kernels/resize/contract.h"
#include "kernels/softmax/contract.h"
#include "kernels/unary/contract.h"
#include "kernels/winograd/contract.h"

namespace ptq {
namespace {

template <auto& list>
KernelRow RowOf(size_t i) {
  return {list[i].name, list[i].requires_features};
}

struct FeatureName {
  uint32_t feature;
  const char* name;
};
constexpr FeatureName kFeatureNames[] = {
    {kCpuNeon, "neon"},
    {kCpuFp16, "fp16"},
    {kCpuDotprod, "dotprod"},
    {kCpuI8mm, "i8mm"},
    {kCpuAvx2, "avx2"},
    {kCpuAvx512Vnni, "avx512vnni"},
    {kCpuAvxVnni, "avxvnni"},
    {kCpuAmxInt8, "amx"},
    {kCpuPclmul, "pclmul"},
    {kCpuCrc, "crc"},
    {kCpuAvx512Vbmi, "avx512vbmi"},
    {kCpuF16c, "f16c"},
};

// Characters of `<op>_<dtype>`.
size_t OperationLength(const char* kernel) {
  const char* end = strstr(kernel, "__");
  if (end == nullptr) return strlen(kernel);
  const char* tile = end - 1;  // its last character
  while (tile > kernel && *tile != '_') --tile;
  return static_cast<size_t>(tile - kernel);
}

}  // namespace

const KernelList kKernelLists[] = {
    {kGemmF32KernelCount, RowOf<kGemmF32Kernels>},
    {kGemmF16KernelCount, RowOf<kGemmF16Kernels>},
    {kGemmI8KernelCount, RowOf<kGemmI8Kernels>},
    {kDepthwiseF32KernelCount, RowOf<kDepthwiseF32Kernels>},
    {kDepthwiseF16KernelCount, RowOf<kDepthwiseF16Kernels>},
    {kDepthwiseI8KernelCount, RowOf<kDepthwiseI8Kernels>},
    {kWinogradKernelCount, RowOf<kWinogradKernels>},
    {kBinaryF32KernelCount, RowOf<kBinaryF32Kernels>},
    {kBinaryF16KernelCount, RowOf<kBinaryF16Kernels>},
    {kBinaryI8KernelCount, RowOf<kBinaryI8Kernels>},
    {kClampF32KernelCount, RowOf<kClampF32Kernels>},
    {kClampF16KernelCount, RowOf<kClampF16Kernels>},
    {kUnaryF32KernelCount, RowOf<kUnaryF32Kernels>},
    {kUnaryF16KernelCount, RowOf<kUnaryF16Kernels>},
    {kSoftmaxKernelCount, RowOf<kSoftmaxKernels>},
    {kMaxPoolF32KernelCount, RowOf<kMaxPoolF32Kernels>},
    {kAveragePoolF32KernelCount, RowOf<kAveragePoolF32Kernels>},
    {kMaxPoolF16KernelCount, RowOf<kMaxPoolF16Kernels>},
    {kAveragePoolF16KernelCount, RowOf<kAveragePoolF16Kernels>},
    {kMaxPoolI8KernelCount, RowOf<kMaxPoolI8Kernels>},
    {kAveragePoolI8KernelCount, RowOf<kAveragePoolI8Kernels>},
    {kReduceF32KernelCount, RowOf<kReduceF32Kernels>},
    {kReduceI8KernelCount, RowOf<kReduceI8Kernels>},
    {kArgMaxF32KernelCount, RowOf<kArgMaxF32Kernels>},
    {kArgMaxI8KernelCount, RowOf<kArgMaxI8Kernels>},
    {kResizeF32KernelCount, RowOf<kResizeF32Kernels>},
    {kQuantizeKernelCount, RowOf<kQuantizeKernels>},
    {kDequantizeKernelCount, RowOf<kDequantizeKernels>},
    {kToHalfKernelCount, RowOf<kToHalfKernels>},
    {kToFloatKernelCount, RowOf<kToFloatKernels>},
    {kLookupKernelCount, RowOf<kLookupKernels>},
    {kTransposeKernelCount, RowOf<kTransposeKernels>},
    {kCopyKernelCount, RowOf<kCopyKernels>},
    {kCrc32KernelCount, RowOf<kCrc32Kernels>},
};
const size_t kKernelListCount = sizeof kKernelLists / sizeof kKernelLists[0];

uint32_t FeaturesOfThisBuild() {
  uint32_t features = 0;
  for (const KernelList& list : kKernelLists) {
    for (size_t i = 0; i < list.count; ++i) features |= list.row(i).requires_features;
  }
  return features;
}

const KernelList* FindKernelList(const char* name) {
  for (const KernelList& list : kKernelLists) {
    for (size_t i = 0; i < list.count; ++i) {
      if (strcmp(list.row(i).name, name) == 0) return &list;
    }
  }
  return nullptr;
}

bool SameOperation(const char* kernel, const char* other) {
  const size_t length = OperationLength(kernel);
  return length == OperationLength(other) && strncmp(kernel, other, length) == 0;
}

void PrintMissing(FILE* out, uint32_t missing) {
  fputs("needs", out);
  for (const FeatureName& row : kFeatureNames) {
    if (missing & row.feature) fprintf(out, " %s", row.name);
  }
}

}  // namespace ptq
