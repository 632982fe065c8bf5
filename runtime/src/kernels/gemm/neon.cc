// gemm for Armv8.0 NEON: float 5 pixels by 16 channels, int8 4 by 4.
#include <string.h>

#include "base/math.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/neon_lanes.h"
#include "kernels/gemm/neon_store_f32.h"
#include "kernels/gemm/neon_store_i8.h"
#include "kernels/gemm/rows.h"
#include "kernels/gemm/store_i8.h"

namespace ptq {
namespace {

struct FusedMultiplyAdd {
  using Vector = float32x4_t;
  template <int kLane>
  PTQ_INLINE static void MultiplyAdd(float32x4_t& sum, float32x4_t w, float32x4_t x) {
    __asm__ volatile("fmla %0.4s, %1.4s, %2.s[%3]" : "+w"(sum) : "w"(w), "w"(x), "n"(kLane));
  }
};

class GemmF32 {
 public:
  static constexpr size_t kGroupRows = kLaneGroupRows;
  using Tile = GemmF32Tile;

  PTQ_INLINE explicit GemmF32(const Tile& tile) : lanes_(tile.depth) {}

  template <size_t kRows, size_t kVectors>
  PTQ_INLINE void Block(const Tile& tile, size_t column, const uint8_t*& w) const {
    float32x4_t sum[kRows][kVectors];
    AccumulateBlock<FusedMultiplyAdd>(tile.rows, tile.taps, lanes_, tile.bias + column, w, sum);
    StoreBlock(tile, column, sum);
  }

 private:
  Lanes lanes_;
};

// 4 rows by 4 outputs, 16 channels at a time: two products of int8 fit in int16 (|w| <= 127:
// 2 * 128 * 127 = 32512), then neighbours are added into int32. Every accumulator is four partial
// sums of one output.
class GemmI8 {
 public:
  static constexpr size_t kMr = 28, kGroupRows = 4, kNr = 4, kKr = 16;

  template <size_t kRows>
  __attribute__((noinline)) static void Rows(const GemmI8Tile& by_reference) {
    const GemmI8Tile tile = by_reference;
    const NeonShiftedRange range = MakeNeonShiftedRange(tile.range);
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
      size_t k = tile.depth;
      for (; k > kKr / 2; k = k > kKr ? k - kKr : 0) {
        int8x16_t x[kRows];
#pragma unroll
        for (size_t i = 0; i < kRows; ++i, row[i - 1] += kKr) x[i] = vld1q_s8(row[i]);
#pragma unroll
        for (size_t j = 0; j < kNr; ++j, w += kKr) {
          const int8x16_t weights = vld1q_s8(w);
#pragma unroll
          for (size_t i = 0; i < kRows; ++i) {
            const int16x8_t product = vmull_s8(vget_low_s8(x[i]), vget_low_s8(weights));
            sum[i][j] = vpadalq_s16(sum[i][j], vmlal_high_s8(product, x[i], weights));
          }
        }
      }
      if (k == 0) continue;  // otherwise the packed weights' upper halves are zero
#pragma unroll
      for (size_t j = 0; j < kNr; ++j, w += kKr) {
#pragma unroll
        for (size_t i = 0; i < kRows; ++i)
          sum[i][j] = vpadalq_s16(sum[i][j], vmull_s8(vld1_s8(row[i]), vld1_s8(w)));
      }
    }
  }

  template <size_t kRows>
  PTQ_INLINE static void Store(const GemmI8Tile& tile, const NeonShiftedRange& range, size_t column,
                               const int32x4_t (&partial)[kRows][kNr]) {
    int32x4_t sum[kGroupRows];
#pragma unroll
    for (size_t i = 0; i < kGroupRows; ++i) {
      const int32x4_t(&p)[kNr] = partial[Min(i, kRows - 1)];
      sum[i] = vpaddq_s32(vpaddq_s32(p[0], p[1]), vpaddq_s32(p[2], p[3]));
    }
    if (!StoresVectors(tile, column, kNr)) {
      int32_t sums[kGroupRows * kNr];
#pragma unroll
      for (size_t i = 0; i < kRows; ++i) vst1q_s32(sums + i * kNr, sum[i]);
      return StoreSums<kRows, kNr>(tile, column, sums);
    }
    const float32x4_t m = vld1q_f32(tile.multiplier + column);
    const int8x16_t q = RequantizeShiftedX16(sum[0], sum[1], sum[2], sum[3], m, m, m, m, range);
    int8_t* y = tile.output_i8 + column;
    StoreLane<kRows, 0>(q, tile.output_stride, y);
  }

  template <size_t kRows, int kLane>
  PTQ_INLINE static void StoreLane(int8x16_t q, size_t stride, int8_t* y) {
    const int32_t four = vgetq_lane_s32(vreinterpretq_s32_s8(q), kLane);
    memcpy(y, &four, sizeof four);
    if constexpr (kLane + 1 < kRows) StoreLane<kRows, kLane + 1>(q, stride, y + stride);
  }
};

}  // namespace

void gemm_f32_5x16__neon(const GemmF32Tile& tile) { RunTile<GemmF32>(tile); }

void gemm_i8_4x4__neon(const GemmI8Tile& tile) { RunRowGroups<GemmI8, GemmI8::kGroupRows>(tile); }

}  // namespace ptq
