// All lists of kernels of this build as one table, for tools that show what was chosen and why.
#ifndef PTQ_TOOLS_KERNEL_LISTS_H_
#define PTQ_TOOLS_KERNEL_LISTS_H_

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

namespace ptq {

struct KernelRow {
  const char* name;
  uint32_t requires_features;
};

// The rows of a family's list in its order: best first.
struct AnyKernelList {
  size_t (*count)();
  KernelRow (*row)(size_t);
};

extern const AnyKernelList kKernelLists[];
extern const size_t kKernelListCount;

// All features that some kernel of this build requires.
uint32_t FeaturesOfThisBuild();

// The list that holds the kernel `name`; null for the few operators that have no list.
const AnyKernelList* FindKernelList(const char* name);

// True if both compute the same on the same types: `<op>_<dtype>` of `<op>_<dtype>_<tile>__<isa>`.
bool SameOperation(const char* kernel, const char* other);

// Prints "needs i8mm": the names of `missing` features.
void PrintMissing(FILE* out, uint32_t missing);

}  // namespace ptq

#endif  // PTQ_TOOLS_KERNEL_LISTS_H_
