// Linear resize, NHWC: one output row from the two input rows around it.
#ifndef PTQ_KERNELS_RESIZE_CONTRACT_H_
#define PTQ_KERNELS_RESIZE_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_list.h"

namespace ptq {

// The two input pixels around one output pixel of a dimension, and their weights.
struct Neighbours {
  uint32_t before, behind;
  float before_weight, behind_weight;
};

// y[i][c] = ((top[l] wl wt + top[r] wr wt) + bottom[l] wl wb) + bottom[r] wr wb, in this order of
// operations (docs/numerics.md, "Resize"), where l and r are columns[i]; then the clamp.
struct ResizeF32Row {
  const float *top, *bottom;  // input rows, [width][channels]
  float top_weight, bottom_weight;
  const Neighbours* columns;  // [count]
  float* y;                   // [count][channels]
  size_t count, channels;
  float lo, hi;
};

struct ResizeF32Kernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const ResizeF32Row&);
};

#define PTQ_ROWS "kernels/resize/kernels.inc"
#include "kernels/declare.inc"

}  // namespace ptq

#endif  // PTQ_KERNELS_RESIZE_CONTRACT_H_
