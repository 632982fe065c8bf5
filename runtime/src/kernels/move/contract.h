// Moving elements without changing them: transposes of two dimensions.
#ifndef PTQ_KERNELS_MOVE_CONTRACT_H_
#define PTQ_KERNELS_MOVE_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_list.h"

namespace ptq {

// y[c * y_stride + r] = x[r * x_stride + c] for r < rows, c < columns; strides in elements. Nothing
// else of y is written. x and y do not overlap.
struct TransposeBlock {
  const void* x;
  size_t x_stride;
  void* y;
  size_t y_stride;
  size_t rows, columns;
};

struct TransposeKernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const TransposeBlock&);
  size_t element_size;  // 1, 4 or 8
};

#define PTQ_ROWS "kernels/move/kernels.inc"
#include "kernels/declare.inc"

// The first kernel for elements of `element_size` bytes that `features` allows.
inline const TransposeKernel* SelectTransposeKernel(size_t element_size, uint32_t features) {
  return SelectKernel(kTransposeKernels, features, [=](const TransposeKernel& kernel) {
    return kernel.element_size == element_size;
  });
}

}  // namespace ptq

#endif  // PTQ_KERNELS_MOVE_CONTRACT_H_
