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

// Where rows of a block of kColumns go: to the output, or, if the output ends within the block, to
// `buffer`, of which Finish copies the columns that there are.
template <size_t kColumns>
class BlockOutput {
 public:
  PTQ_INLINE BlockOutput(const GemmF32Tile& tile, size_t column, float* buffer)
      : lo_(vdupq_n_f32(tile.lo)),
        hi_(vdupq_n_f32(tile.hi)),
        clamps_(tile.lo > -INFINITY || tile.hi < INFINITY),
        whole_(tile.columns - column >= kColumns),
        y_(whole_ ? tile.output + column : buffer),
        stride_(whole_ ? tile.output_stride : kColumns) {}

  // The next kRows rows.
  template <size_t kRows, size_t kVectors>
  PTQ_INLINE void Store(const float32x4_t (&sum)[kRows][kVectors]) {
    static_assert(4 * kVectors == kColumns, "a whole block");
    if (clamps_) {
      StoreRows<true>(sum);
    } else {
      StoreRows<false>(sum);
    }
  }

  // After `rows` rows.
  PTQ_INLINE void Finish(const GemmF32Tile& tile, size_t column, size_t rows,
                         const float* buffer) const {
    if (whole_) return;
    CopyColumns(buffer, kColumns, rows, tile.columns - column, tile.output + column,
                tile.output_stride);
  }

 private:
  template <bool kClamps, size_t kRows, size_t kVectors>
  PTQ_INLINE void StoreRows(const float32x4_t (&sum)[kRows][kVectors]) {
#pragma unroll
    for (size_t i = 0; i < kRows; ++i, y_ += stride_) {
#pragma unroll
      for (size_t v = 0; v < kVectors; ++v) {
        vst1q_f32(y_ + 4 * v, kClamps ? vminq_f32(vmaxq_f32(sum[i][v], lo_), hi_) : sum[i][v]);
      }
    }
  }

  float32x4_t lo_, hi_;
  bool clamps_, whole_;
  float* y_;
  size_t stride_;
};

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_NEON_STORE_F32_H_
