// gemm for Armv8.0 NEON: float 5 pixels by 16 channels, int8 4 by 4.
#include "base/math.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/neon_lanes.h"
#include "kernels/gemm/neon_store.h"
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

struct GemmF32 {
  template <size_t kRows, size_t kVectors>
  PTQ_INLINE static void Block(const GemmF32Tile& tile, size_t column, size_t columns,
                               const uint8_t*& w) {
    float32x4_t sum[kRows][kVectors];
    AccumulateBlock<FusedMultiplyAdd>(tile.rows, tile.taps, tile.depth, tile.bias + column, w, sum);
    StoreBlock(tile, column, columns, sum);
  }

  template <size_t kRows>
  static void Rows(const GemmF32Tile& tile) {
    const uint8_t* w = reinterpret_cast<const uint8_t*>(tile.weights);
    size_t column = 0;
    for (; column + kLaneColumns / 2 < tile.columns; column += kLaneColumns)
      Block<kRows, 4>(tile, column, tile.columns - column, w);
    if (column < tile.columns) Block<kRows, 2>(tile, column, tile.columns - column, w);
  }
};

// 16 bytes from `p`, of which `count` (1 ... 16) may be read; the others are zero.
PTQ_INLINE int8x16_t LoadBytes(const int8_t* p, size_t count) {
  if (count >= 16) return vld1q_s8(p);
  int8_t bytes[16] = {};
  memcpy(bytes, p, count);
  return vld1q_s8(bytes);
}
}  // namespace

// 16 channels at a time: two products of int8 fit in int16 (|w| <= 127: 2 * 128 * 127 = 32512),
// then neighbours are added into int32. Every accumulator is four partial sums of one output.
static void BlockI8(const GemmI8Tile& tile) {
  constexpr size_t kMr = 4, kNr = 4, kKr = 16;
  int32x4_t sum[kMr][kNr];
  for (size_t i = 0; i < kMr; ++i) {
    for (size_t j = 0; j < kNr; ++j) sum[i][j] = vdupq_n_s32(0);
  }
  const int8_t* w = tile.weights;
  for (size_t tap = 0; tap < tile.taps; ++tap) {
    const int8_t* rows[kMr];
    memcpy(rows, tile.rows + tap * kMr, sizeof rows);
    for (size_t k = 0; k < tile.depth; k += kKr, w += kKr * kNr) {
      int8x16_t x[kMr];
      for (size_t i = 0; i < kMr; ++i) x[i] = LoadBytes(rows[i] + k, tile.depth - k);
#pragma unroll
      for (size_t j = 0; j < kNr; ++j) {
        const int8x16_t weights = vld1q_s8(w + j * kKr);
#pragma unroll
        for (size_t i = 0; i < kMr; ++i) {
          int16x8_t product = vmull_s8(vget_low_s8(x[i]), vget_low_s8(weights));
          product = vmlal_high_s8(product, x[i], weights);
          sum[i][j] = vpadalq_s16(sum[i][j], product);
        }
      }
    }
  }
  const int32x4_t bias = vld1q_s32(tile.bias);
  for (size_t i = 0; i < tile.valid_rows; ++i) {
    const int32x4_t pairs0 = vpaddq_s32(sum[i][0], sum[i][1]);
    const int32x4_t pairs1 = vpaddq_s32(sum[i][2], sum[i][3]);
    int32_t accumulator[kNr];
    vst1q_s32(accumulator, vaddq_s32(bias, vpaddq_s32(pairs0, pairs1)));
    StoreRow<kNr>(tile, i, accumulator);
  }
}

void gemm_f32_5x16__neon(const GemmF32Tile& tile) { RunRows<GemmF32>(tile); }

void gemm_i8_4x4__neon(const GemmI8Tile& tile) { ForEachBlock<4, 16>(tile, BlockI8); }

}  // namespace ptq
