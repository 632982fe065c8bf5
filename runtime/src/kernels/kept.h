// The rows of a kernel list that this runtime keeps: all, unless it is tailored to models
// (runtime/tailor_runtime.py). What no row refers to, the linker leaves out.
#ifndef PTQ_KERNELS_KEPT_H_
#define PTQ_KERNELS_KEPT_H_

#include <stddef.h>

#include "kernels/instruction_sets.h"
#if defined(PTQ_TAILORED)
#include "tailored_kernels.h"
#endif

namespace ptq {

constexpr bool SameText(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return *a == *b;
}

constexpr bool IsKept([[maybe_unused]] const char* kernel) {
#if defined(PTQ_TAILORED)
  for (const char* kept : kTailoredKernels) {
    if (SameText(kernel, kept)) return true;
  }
  return false;
#else
  return true;
#endif
}

void KernelIsNotNamedAfterItsInstructionSet();

// `kernel`; does not compile unless it ends with two underlines and the set's name.
constexpr const char* NameOf(const char* kernel, const InstructionSet& set) {
  const char* end = kernel;
  for (const char* at = kernel; *at != '\0'; ++at) {
    if (at[0] == '_' && at[1] == '_') end = at + 2;
  }
  if (!SameText(end, set.file)) KernelIsNotNamedAfterItsInstructionSet();
  return kernel;
}

template <typename Kernel, size_t kSize>
struct KeptKernels {
  Kernel rows[kSize];
  size_t count;
};

// The kept ones of `rows`, in their order; the last of `rows` is none (a build may have no others).
template <typename Kernel, size_t kSize>
constexpr KeptKernels<Kernel, kSize> KeptRows(const Kernel (&rows)[kSize]) {
  KeptKernels<Kernel, kSize> kept = {};
  for (size_t i = 0; i + 1 < kSize; ++i) {
    if (IsKept(rows[i].name)) kept.rows[kept.count++] = rows[i];
  }
  return kept;
}

}  // namespace ptq

#endif  // PTQ_KERNELS_KEPT_H_
