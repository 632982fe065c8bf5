// Copying runs of bytes: the inner loops of slice, gather, concat, dilate and nearest resize.
#ifndef PTQ_KERNELS_COPY_CONTRACT_H_
#define PTQ_KERNELS_COPY_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_list.h"

namespace ptq {

// Row r: row_bytes from x + r * x_stride to y + r * y_stride; strides in bytes.
struct RowCopy {
  const uint8_t* x;
  ptrdiff_t x_stride;
  uint8_t* y;
  ptrdiff_t y_stride;
  size_t row_bytes, rows;
};

// Item i: item_bytes from x + indices[i] * item_bytes to y + i * item_bytes.
struct IndexedCopy {
  const uint8_t* x;
  const uint32_t* indices;
  uint8_t* y;
  size_t item_bytes, count;
};

// y[r][i] = x[r * x_stride + i * x_step] for r < rows and i < count, in elements of element_size
// (1, 4 or 8) bytes; y is contiguous.
struct StridedCopy {
  const void* x;
  ptrdiff_t x_stride, x_step;
  void* y;
  size_t element_size, count, rows;
};

// y[r][2 * i + j] = x[r * x_stride + first[j] + i] for r < rows, i < count and j < 2: two runs of a
// row, taken in turns.
struct InterleavedCopy {
  const void* x;
  size_t x_stride, first[2];
  void* y;
  size_t element_size, count, rows;
};

struct CopyKernel {
  const char* name;
  uint32_t requires_features;
  void (*rows)(const RowCopy&);
  void (*indexed)(const IndexedCopy&);
  void (*strided)(const StridedCopy&);
  void (*interleaved)(const InterleavedCopy&);
};

#define PTQ_ROWS "kernels/copy/kernels.inc"
#include "kernels/declare.inc"

}  // namespace ptq

#endif  // PTQ_KERNELS_COPY_CONTRACT_H_
