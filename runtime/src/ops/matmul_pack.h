// Packing the second matrix of a matmul when it is computed: blocks of nr columns, as
// kernels/gemm/pack.h lays out weights with one tap, each [round_up(depth, kd) / kr][nr][kr].
#ifndef PTQ_OPS_MATMUL_PACK_H_
#define PTQ_OPS_MATMUL_PACK_H_

#include <string.h>

#include "base/math.h"
#include "kernels/gemm/pack.h"

namespace ptq {

// A piece of a matrix in memory: element [k][j] lies at k * k_stride + j * column_stride, one of
// which is 1.
template <typename T>
struct MatrixPiece {
  const T* data;
  size_t k_stride, column_stride;
  size_t depth, columns;
};

// Groups of kKr products, whose columns are neighbours in memory.
template <typename T, size_t kKr>
void PackBlockOfRows(const MatrixPiece<T>& b, size_t column, size_t count, size_t nr, T* packed) {
  const T* row = b.data + column;
  size_t k = 0;
  for (; k + kKr <= b.depth; k += kKr, row += kKr * b.k_stride, packed += nr * kKr) {
    for (size_t j = 0; j < count; ++j) {
      for (size_t r = 0; r < kKr; ++r) packed[j * kKr + r] = row[r * b.k_stride + j];
    }
  }
  for (size_t r = 0; k + r < b.depth; ++r) {
    for (size_t j = 0; j < count; ++j) packed[j * kKr + r] = row[r * b.k_stride + j];
  }
}

// `packed`: blocks that begin block_stride elements after one another, zero where columns or depth
// end. kr is 1, 2, 4, 8 or 16.
template <typename T>
void PackMatrix(const MatrixPiece<T>& b, size_t nr, size_t kr, size_t kd, size_t block_stride,
                T* packed) {
  constexpr size_t kStretch = 64;  // of depth, as in PackGemmWeights
  const size_t packed_depth = PackedGemmProducts(1, b.depth, kd);
  const auto pack_rows = kr == 1   ? PackBlockOfRows<T, 1>
                         : kr == 2 ? PackBlockOfRows<T, 2>
                         : kr == 4 ? PackBlockOfRows<T, 4>
                         : kr == 8 ? PackBlockOfRows<T, 8>
                                   : PackBlockOfRows<T, 16>;
  const auto pack_column = kr == 1   ? PackGemmRow<T, 1>
                           : kr == 2 ? PackGemmRow<T, 2>
                           : kr == 4 ? PackGemmRow<T, 4>
                           : kr == 8 ? PackGemmRow<T, 8>
                                     : PackGemmRow<T, 16>;
  for (size_t begin = 0; begin < b.columns; begin += nr, packed += block_stride) {
    const size_t count = Min(nr, b.columns - begin);
    if (count < nr || packed_depth != b.depth) memset(packed, 0, packed_depth * nr * sizeof(T));
    if (b.column_stride == 1) {
      pack_rows(b, begin, count, nr, packed);
      continue;
    }
    for (size_t k = 0; k < b.depth; k += kStretch) {
      for (size_t j = 0; j < count; ++j) {
        pack_column(b.data + (begin + j) * b.column_stride + k, Min(kStretch, b.depth - k), nr,
                    packed + k * nr + j * kr);
      }
    }
  }
}

// Whether any element is -128, which some kernels do not take.
inline bool HoldsLeast(const MatrixPiece<int8_t>& b) {
  const bool rows = b.column_stride == 1;
  const size_t lines = rows ? b.depth : b.columns, length = rows ? b.columns : b.depth,
               stride = rows ? b.k_stride : b.column_stride;
  int8_t least = 0;
  for (size_t i = 0; i < lines; ++i) {
    for (size_t j = 0; j < length; ++j) least = Min(least, b.data[i * stride + j]);
  }
  return least == -128;
}

// Packed products without -128: what they lack, -1 there and 0 elsewhere, goes to `rest`.
inline void SplitLeast(size_t count, int8_t* packed, int8_t* rest) {
  for (size_t i = 0; i < count; ++i) {
    rest[i] = packed[i] == -128 ? -1 : 0;
    packed[i] = static_cast<int8_t>(packed[i] - rest[i]);
  }
}

// sums[j] = the sum of column j.
inline void SumColumns(const MatrixPiece<int8_t>& b, int32_t* sums) {
  for (size_t j = 0; j < b.columns; ++j) sums[j] = 0;
  if (b.column_stride == 1) {
    for (size_t k = 0; k < b.depth; ++k) {
      for (size_t j = 0; j < b.columns; ++j) sums[j] += b.data[k * b.k_stride + j];
    }
    return;
  }
  for (size_t j = 0; j < b.columns; ++j) {
    for (size_t k = 0; k < b.depth; ++k) sums[j] += b.data[j * b.column_stride + k];
  }
}

}  // namespace ptq

#endif  // PTQ_OPS_MATMUL_PACK_H_
