// Index of the largest element, along the contiguous dimension or across columns that stay apart.
#ifndef PTQ_KERNELS_ARG_MAX_CONTRACT_H_
#define PTQ_KERNELS_ARG_MAX_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_list.h"

namespace ptq {

// y[c] = the row of x[row * row_stride + c] that is the first (or last) with column c's maximum.
template <typename T>
struct ArgMaxColumns {
  const T* x;
  size_t row_stride, rows, columns;
  int32_t* y;
  bool select_last;
};

// y[r] = the same of the `count` contiguous elements from x + r * count on.
template <typename T>
struct ArgMaxRows {
  const T* x;
  size_t count, rows;
  int32_t* y;
  bool select_last;
};

// T: float or int8_t.
template <typename T>
struct ArgMaxKernel {
  const char* name;
  uint32_t requires_features;
  void (*columns)(const ArgMaxColumns<T>&);
  void (*rows)(const ArgMaxRows<T>&);
};

#define PTQ_ROWS "kernels/arg_max/kernels.inc"
#include "kernels/declare.inc"

}  // namespace ptq

#endif  // PTQ_KERNELS_ARG_MAX_CONTRACT_H_
