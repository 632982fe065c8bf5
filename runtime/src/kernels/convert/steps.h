// Kernels that work on a fixed number of elements at a time.
#ifndef PTQ_KERNELS_CONVERT_STEPS_H_
#define PTQ_KERNELS_CONVERT_STEPS_H_

#include "base/math.h"
#include "kernels/tail.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

// Calls apply(x, y) on kStep elements at a time; the last ones are copied to where whole steps may
// be read and written.
template <size_t kStep, typename X, typename Y, typename Apply>
PTQ_INLINE void ForSteps(const X* x, Y* y, size_t count, Apply apply) {
  for (; count >= kStep; count -= kStep, x += kStep, y += kStep) apply(x, y);
  if (count == 0) return;
  X x_copy[kStep];
  Y y_copy[kStep];
  PadTail<kStep * sizeof(X)>(x_copy, x, count * sizeof(X));
  apply(x_copy, y_copy);
  CopyTail<kStep * sizeof(Y)>(y, y_copy, count * sizeof(Y));
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_CONVERT_STEPS_H_
