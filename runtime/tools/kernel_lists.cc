// The table of kernel lists.
#include "tools/kernel_lists.h"

#include <string.h>

#include "base/cpu_features.h"
#include "generated/kernel_families.h"

namespace ptq {
namespace {

template <auto& list>
size_t CountOf() {
  return list.count;
}

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

#define PTQ_KERNELS(Kernel, list) {CountOf<list>, RowOf<list>},
#define PTQ_KERNEL(...)
#define PTQ_END(list)
const AnyKernelList kKernelLists[] = {
#include "generated/kernel_families.inc"
};
const size_t kKernelListCount = sizeof kKernelLists / sizeof kKernelLists[0];

uint32_t FeaturesOfThisBuild() {
  uint32_t features = 0;
  for (const AnyKernelList& list : kKernelLists) {
    for (size_t i = 0; i < list.count(); ++i) features |= list.row(i).requires_features;
  }
  return features;
}

const AnyKernelList* FindKernelList(const char* name) {
  for (const AnyKernelList& list : kKernelLists) {
    for (size_t i = 0; i < list.count(); ++i) {
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
