// int8 gemm without the dot product, for A64 and Armv7.
#ifndef PTQ_KERNELS_GEMM_NEON_I8_H_
#define PTQ_KERNELS_GEMM_NEON_I8_H_

#include <arm_neon.h>
#include <string.h>

#include "base/math.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/neon_store_i8.h"
#include "kernels/gemm/rows.h"

namespace ptq {
namespace {

// Sums of neighbours: those of a, then those of b.
PTQ_INLINE int32x4_t AddPairs(int32x4_t a, int32x4_t b) {
#if defined(__aarch64__)
  return vpaddq_s32(a, b);
#else
  return vcombine_s32(vpadd_s32(vget_low_s32(a), vget_high_s32(a)),
                      vpadd_s32(vget_low_s32(b), vget_high_s32(b)));
#endif
}

// RequantizeRows: 4 columns of a group's rows, one row after another. LaneOf: those of a row.
#if defined(__aarch64__)
template <int kLane>
PTQ_INLINE int32_t LaneOf(int8x16_t q) {
  return vgetq_lane_s32(vreinterpretq_s32_s8(q), kLane);
}
PTQ_INLINE int8x16_t RequantizeRows(const int32x4_t (&sum)[4], float32x4_t m,
                                    const I8Range& range) {
  return RequantizeShiftedX16(sum[0], sum[1], sum[2], sum[3], m, m, m, m, range);
}
#else
template <int kLane>
PTQ_INLINE int32_t LaneOf(int8x8_t q) {
  return vget_lane_s32(vreinterpret_s32_s8(q), kLane);
}
PTQ_INLINE int8x8_t RequantizeRows(const int32x4_t (&sum)[2], float32x4_t m, const I8Range& range) {
  return RequantizeX8(sum[0], sum[1], m, m, range);
}
#endif

// kGroupRows pixels by 4 outputs, 16 channels at a time: two products of int8 fit in int16 (|w| <=
// 127: 2 * 128 * 127 = 32512), then neighbours are added into int32. Every accumulator is four
// partial sums of one output.
template <size_t kGroupRows>
class GemmI8 {
 public:
  static constexpr size_t kMr = 28, kNr = 4, kKr = 16;

  template <size_t kRows>
  __attribute__((noinline)) static void Rows(const GemmI8Tile& by_reference, size_t groups) {
    GemmI8Tile tile = by_reference;
    const I8Range range = MakeI8Range(tile.range);
    for (; groups != 0; --groups) {
      const int8_t* w = tile.weights;
      for (size_t column = 0; column < tile.columns; column += kNr) {
        int32x4_t sum[kRows][kNr];
#pragma unroll
        for (size_t i = 0; i < kRows; ++i) {
#pragma unroll
          for (size_t j = 0; j < kNr; ++j) sum[i][j] = int32x4_t{tile.bias[column + j], 0, 0, 0};
        }
        Accumulate(tile, w, sum);
        Store(tile, range, column, sum);
      }
      SkipRows(kRows, &tile);
    }
  }

 private:
  template <size_t kRows>
  PTQ_INLINE static void Accumulate(const GemmI8Tile& tile, const int8_t*& w,
                                    int32x4_t (&sum)[kRows][kNr]) {
    const int8_t* const* rows = tile.rows;
    for (size_t taps = tile.taps; taps != 0; --taps, rows += kMr) {
      const int8_t* row[kRows];
#pragma unroll
      for (size_t i = 0; i < kRows; ++i) row[i] = rows[i];
      for (size_t k = (tile.depth + kKr / 2 - 1) / kKr; k != 0; --k) {
        int8x16_t x[kRows];
#pragma unroll
        for (size_t i = 0; i < kRows; ++i, row[i - 1] += kKr) x[i] = vld1q_s8(row[i]);
#pragma unroll
        for (size_t j = 0; j < kNr; ++j, w += kKr) {
          const int8x16_t weights = vld1q_s8(w);
#pragma unroll
          for (size_t i = 0; i < kRows; ++i) {
            const int16x8_t product = vmull_s8(vget_low_s8(x[i]), vget_low_s8(weights));
            sum[i][j] = vpadalq_s16(sum[i][j],
                                    vmlal_s8(product, vget_high_s8(x[i]), vget_high_s8(weights)));
          }
        }
      }
      // What is left is at most half a step: the packed weights' upper halves are zero.
      if ((tile.depth + kKr - 1) % kKr >= kKr / 2) continue;
#pragma unroll
      for (size_t j = 0; j < kNr; ++j, w += kKr) {
#pragma unroll
        for (size_t i = 0; i < kRows; ++i)
          sum[i][j] = vpadalq_s16(sum[i][j], vmull_s8(vld1_s8(row[i]), vld1_s8(w)));
      }
    }
  }

  template <size_t kRows>
  PTQ_INLINE static void Store(const GemmI8Tile& tile, const I8Range& range, size_t column,
                               const int32x4_t (&partial)[kRows][kNr]) {
    int32x4_t sum[kGroupRows];
#pragma unroll
    for (size_t i = 0; i < kGroupRows; ++i) {
      const int32x4_t(&p)[kNr] = partial[Min(i, kRows - 1)];
      sum[i] = AddPairs(AddPairs(p[0], p[1]), AddPairs(p[2], p[3]));
    }
    if (!StoresVectors(tile, column, kNr)) {
      int32_t sums[16];
#pragma unroll
      for (size_t i = 0; i < kRows; ++i) vst1q_s32(sums + i * kNr, sum[i]);
      return StoreSums<kRows, kNr>(tile, column, sums);
    }
    const float32x4_t m = vld1q_f32(tile.multiplier + column);
    const auto q = RequantizeRows(sum, m, range);
    int8_t* y = tile.output_i8 + column;
    StoreLane<kRows, 0>(q, tile.output_stride, y);
  }

  template <size_t kRows, int kLane, typename V>
  PTQ_INLINE static void StoreLane(V q, size_t stride, int8_t* y) {
    const int32_t four = LaneOf<kLane>(q);
    memcpy(y, &four, sizeof four);
    if constexpr (kLane + 1 < kRows) StoreLane<kRows, kLane + 1>(q, stride, y + stride);
  }
};

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_NEON_I8_H_
