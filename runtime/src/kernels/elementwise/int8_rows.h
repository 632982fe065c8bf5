// The walk along a row of an int8 elementwise kernel. Included once per instruction set.
#ifndef PTQ_KERNELS_ELEMENTWISE_INT8_ROWS_H_
#define PTQ_KERNELS_ELEMENTWISE_INT8_ROWS_H_

#include <string.h>

#include "base/math.h"
#include "kernels/elementwise/contract.h"
#include "kernels/tail.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

// Calls apply(a, b, y) on kStep elements of each at a time. An operand of one value is repeated
// kStep times, the last elements are copied to where whole steps may be read and written.
template <size_t kStep, typename Apply>
PTQ_INLINE void WalkRow(const BinaryI8Row& row, Apply apply) {
  int8_t a_copy[kStep], b_copy[kStep], y_copy[kStep];
  if (row.a_step == 0) memset(a_copy, row.a[0], kStep);
  if (row.b_step == 0) memset(b_copy, row.b[0], kStep);
  const int8_t *a = row.a_step == 0 ? a_copy : row.a, *b = row.b_step == 0 ? b_copy : row.b;
  const size_t a_advance = row.a_step * kStep, b_advance = row.b_step * kStep;
  int8_t* y = row.y;
  size_t left = row.count;
  for (; left >= kStep; left -= kStep, a += a_advance, b += b_advance, y += kStep) apply(a, b, y);
  if (left == 0) return;
  if (row.a_step != 0) PadTail<kStep>(a_copy, a, left);
  if (row.b_step != 0) PadTail<kStep>(b_copy, b, left);
  apply(a_copy, b_copy, y_copy);
  CopyTail<kStep>(y, y_copy, left);
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_ELEMENTWISE_INT8_ROWS_H_
