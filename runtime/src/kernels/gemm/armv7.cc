// gemm for Armv7 NEON, 16 vector registers: float 4 pixels by 8 channels, int8 2 by 4.
#include <arm_neon.h>

#include "base/math.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/neon_i8.h"
#include "kernels/gemm/neon_store_f32.h"
#include "kernels/gemm/rows.h"

namespace ptq {
namespace {

class GemmF32 {
 public:
  static constexpr size_t kMr = 28, kNr = 8;

  template <size_t kRows>
  __attribute__((noinline)) static void Rows(const GemmF32Tile& by_reference, size_t groups) {
    GemmF32Tile tile = by_reference;
    for (; groups != 0; --groups) {
      for (size_t column = 0; column < tile.columns; column += kNr) {
        const float* w = tile.weights + column * tile.products;
        float32x4_t sum[kRows][2];
#pragma unroll
        for (size_t i = 0; i < kRows; ++i) {
          sum[i][0] = vld1q_f32(tile.bias + column);
          sum[i][1] = vld1q_f32(tile.bias + column + 4);
        }
        Accumulate(tile, w, sum);
        float buffer[kRows * kNr];
        BlockOutput<kNr> output(tile, column, buffer);
        output.Store(sum);
        output.Finish(tile, column, kRows, buffer);
      }
      SkipRows(kRows, &tile);
    }
  }

 private:
  template <size_t kRows>
  PTQ_INLINE static void Accumulate(const GemmF32Tile& tile, const float*& w,
                                    float32x4_t (&sum)[kRows][2]) {
    const float* const* rows = tile.rows;
    for (size_t taps = tile.taps; taps != 0; --taps, rows += kMr) {
      const float* row[kRows];
#pragma unroll
      for (size_t i = 0; i < kRows; ++i) row[i] = rows[i];
      float32x2_t x[kRows];
      for (size_t k = tile.depth / 2; k != 0; --k) {
#pragma unroll
        for (size_t i = 0; i < kRows; ++i, row[i - 1] += 2) x[i] = vld1_f32(row[i]);
        AccumulateLane<0>(x, w, sum);
        AccumulateLane<1>(x, w, sum);
      }
      if (tile.depth % 2 == 0) continue;
#pragma unroll
      for (size_t i = 0; i < kRows; ++i) x[i] = vld1_f32(row[i]);  // one float lies behind the row
      AccumulateLane<0>(x, w, sum);
    }
  }

  template <int kLane, size_t kRows>
  PTQ_INLINE static void AccumulateLane(const float32x2_t (&x)[kRows], const float*& w,
                                        float32x4_t (&sum)[kRows][2]) {
    const float32x4_t w0 = vld1q_f32(w), w1 = vld1q_f32(w + 4);
    w += kNr;
#pragma unroll
    for (size_t i = 0; i < kRows; ++i) {
      sum[i][0] = vmlaq_lane_f32(sum[i][0], w0, x[i], kLane);
      sum[i][1] = vmlaq_lane_f32(sum[i][1], w1, x[i], kLane);
    }
  }
};

}  // namespace

void gemm_f32_4x8__armv7(const GemmF32Tile& tile) { RunRowGroups<GemmF32, 4>(tile); }

void gemm_i8_2x4__armv7(const GemmI8Tile& tile) { RunRowGroups<GemmI8<2>, 2>(tile); }

}  // namespace ptq
