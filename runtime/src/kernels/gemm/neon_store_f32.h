// The epilogue of the NEON kernels for float.
#ifndef PTQ_KERNELS_GEMM_NEON_STORE_F32_H_
#define PTQ_KERNELS_GEMM_NEON_STORE_F32_H_

#include <arm_neon.h>
#include <math.h>

#include "base/math.h"
#include "kernels/gemm/contract.h"

namespace ptq {
namespace {

// Copies the first columns of each row.
__attribute__((noinline)) void CopyColumns(const float* from, size_t width, size_t rows,
                                           size_t columns, float* to, size_t stride) {
  for (size_t i = 0; i < rows; ++i, from += width, to += stride) {
    for (size_t j = 0; j < columns; ++j) to[j] = from[j];
  }
}

template <size_t kRows, size_t kVectors>
PTQ_INLINE void StoreBlock(const GemmF32Tile& tile, size_t column,
                           float32x4_t (&sum)[kRows][kVectors]) {
  constexpr size_t kColumns = 4 * kVectors;
  const bool whole = tile.columns - column >= kColumns;
  float buffer[kRows * kColumns];
  float* const output = tile.output + column;
  float* y = whole ? output : buffer;
  const size_t stride = whole ? tile.output_stride : kColumns;
  if (tile.lo > -INFINITY || tile.hi < INFINITY) {
    const float32x4_t lo = vdupq_n_f32(tile.lo), hi = vdupq_n_f32(tile.hi);
#pragma unroll
    for (size_t i = 0; i < kRows; ++i) {
#pragma unroll
      for (size_t v = 0; v < kVectors; ++v) sum[i][v] = vminq_f32(vmaxq_f32(sum[i][v], lo), hi);
    }
  }
#pragma unroll
  for (size_t i = 0; i < kRows; ++i, y += stride) {
#pragma unroll
    for (size_t v = 0; v < kVectors; ++v) vst1q_f32(y + 4 * v, sum[i][v]);
  }
  if (!whole)
    CopyColumns(buffer, kColumns, kRows, tile.columns - column, output, tile.output_stride);
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_NEON_STORE_F32_H_
