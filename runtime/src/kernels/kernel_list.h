// A list of kernels, and the choice from it.
#ifndef PTQ_KERNELS_KERNEL_LIST_H_
#define PTQ_KERNELS_KERNEL_LIST_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/instruction_sets.h"

namespace ptq {

// Best first; the last row runs everywhere. Lists of half precision (F16) are empty in builds that
// have none; their kernels but the clamps are for CPUs that compute in half precision only.
template <typename Kernel>
struct KernelList {
  const Kernel* rows;
  size_t count;

  const Kernel* begin() const { return rows; }
  const Kernel* end() const { return rows + count; }
  const Kernel& operator[](size_t i) const { return rows[i]; }
};

template <typename Kernel>
bool CanRun(const Kernel& kernel, uint32_t features) {
  return (kernel.requires_features & ~features) == 0;
}

// The first row that `features` allows and that `suits` is true of; null if there is none.
template <typename Kernel, typename Suits>
const Kernel* SelectKernel(const KernelList<Kernel>& list, uint32_t features, Suits suits) {
  for (const Kernel& kernel : list) {
    if (CanRun(kernel, features) && suits(kernel)) return &kernel;
  }
  return nullptr;
}

template <typename Kernel>
const Kernel* SelectKernel(const KernelList<Kernel>& list, uint32_t features) {
  return SelectKernel(list, features, [](const Kernel&) { return true; });
}

// The type F of a member `F* member`.
template <typename Pointer>
struct FunctionBehind;
template <typename Function>
struct FunctionBehind<Function*> {
  using Type = Function;
};
template <typename Pointer>
using FunctionOf = typename FunctionBehind<Pointer>::Type;

}  // namespace ptq

#endif  // PTQ_KERNELS_KERNEL_LIST_H_
