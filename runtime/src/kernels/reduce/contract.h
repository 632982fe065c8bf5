// Reductions. A reduced dimension is either the contiguous one (rows to one value each) or lies
// outside of contiguous columns that stay apart.
#ifndef PTQ_KERNELS_REDUCE_CONTRACT_H_
#define PTQ_KERNELS_REDUCE_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_list.h"
#include "numerics/sum_blocks.h"

namespace ptq {

enum class Reduction : uint32_t { kSum, kSumOfSquares, kMax, kMin, kProduct };

// sums[c] = sums[c] op x[0][c] op x[1][c] ... for `rows` rows that lie `row_stride` elements apart.
template <typename T, typename Sum>
struct ReduceColumns {
  Reduction reduction;
  const T* x;
  size_t row_stride, rows, columns;
  Sum* sums;
};
using ReduceColumnsF32 = ReduceColumns<float, float>;
using ReduceColumnsI8 = ReduceColumns<int8_t, int32_t>;

// A call sums at most so many floats of a row: in two vectors, and then their lanes and the rest
// one by one, no more than kSumRoundings additions. Of columns it takes kSumBlock rows.
constexpr size_t kRowBlock = 1024;

struct ReduceF32Kernel {
  const char* name;
  uint32_t requires_features;
  void (*columns)(const ReduceColumnsF32&);
  // start op x[0] op x[1] ... of `count` contiguous elements, in any order.
  float (*row)(Reduction reduction, const float* x, size_t count, float start);
};

// kSum, kMax and kMin; a sum of at most 2^23 elements cannot overflow.
struct ReduceI8Kernel {
  const char* name;
  uint32_t requires_features;
  void (*columns)(const ReduceColumnsI8&);
  int32_t (*row)(Reduction reduction, const int8_t* x, size_t count, int32_t start);
};

#define PTQ_ROWS "kernels/reduce/kernels.inc"
#include "kernels/declare.inc"

}  // namespace ptq

#endif  // PTQ_KERNELS_REDUCE_CONTRACT_H_
