// Moving elements without changing them: transposes of two dimensions.
#ifndef PTQ_KERNELS_MOVE_CONTRACT_H_
#define PTQ_KERNELS_MOVE_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

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
  size_t element_size;  // 1 or 4
  void (*run)(const TransposeBlock&);
};

// For each element size the best kernel first, a scalar one last.
extern const TransposeKernel kTransposeKernels[];
extern const size_t kTransposeKernelCount;

const TransposeKernel* SelectTransposeKernel(size_t element_size, uint32_t features);

// One file per instruction set.
void transpose_x8_1x1__scalar(const TransposeBlock& block);
void transpose_x32_1x1__scalar(const TransposeBlock& block);
void transpose_x8_8x8__neon(const TransposeBlock& block);
void transpose_x32_4x4__neon(const TransposeBlock& block);
void transpose_x8_8x16__avx2(const TransposeBlock& block);
void transpose_x32_4x8__avx2(const TransposeBlock& block);

}  // namespace ptq

#endif  // PTQ_KERNELS_MOVE_CONTRACT_H_
