// gemm for Armv8.0 NEON: float 8 pixels by 8 channels, int8 4 by 4.
#include <arm_neon.h>
#include <string.h>

#include "base/math.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/store_i8.h"

namespace ptq {
namespace {

// 16 bytes from `p`, of which `count` (1 ... 16) may be read; the others are zero.
PTQ_INLINE int8x16_t LoadBytes(const int8_t* p, size_t count) {
  if (count >= 16) return vld1q_s8(p);
  int8_t bytes[16] = {};
  memcpy(bytes, p, count);
  return vld1q_s8(bytes);
}

template <int kLane>
PTQ_INLINE void AccumulateLane(float32x4_t sum[8][2], const float32x4_t x[8], const float* w) {
  const float32x4_t w0 = vld1q_f32(w), w1 = vld1q_f32(w + 4);
#pragma unroll
  for (size_t i = 0; i < 8; ++i) {
    sum[i][0] = vfmaq_laneq_f32(sum[i][0], w0, x[i], kLane);
    sum[i][1] = vfmaq_laneq_f32(sum[i][1], w1, x[i], kLane);
  }
}

}  // namespace

static void BlockF32(const GemmF32Tile& tile) {
  constexpr size_t kMr = 8, kNr = 8;
  float32x4_t sum[kMr][2];
  for (size_t i = 0; i < kMr; ++i) {
    sum[i][0] = vld1q_f32(tile.bias);
    sum[i][1] = vld1q_f32(tile.bias + 4);
  }
  const float* w = tile.weights;
  for (size_t tap = 0; tap < tile.taps; ++tap) {
    const float* rows[kMr];
    memcpy(rows, tile.rows + tap * kMr, sizeof rows);
    size_t k = 0;
    for (; k + 4 <= tile.depth; k += 4, w += 4 * kNr) {
      float32x4_t x[kMr];
      for (size_t i = 0; i < kMr; ++i) x[i] = vld1q_f32(rows[i] + k);
      AccumulateLane<0>(sum, x, w);
      AccumulateLane<1>(sum, x, w + kNr);
      AccumulateLane<2>(sum, x, w + 2 * kNr);
      AccumulateLane<3>(sum, x, w + 3 * kNr);
    }
    for (; k < tile.depth; ++k, w += kNr) {
      float32x4_t x[kMr];
      for (size_t i = 0; i < kMr; ++i) x[i] = vld1q_dup_f32(rows[i] + k);
      AccumulateLane<0>(sum, x, w);
    }
  }
  for (size_t i = 0; i < tile.valid_rows; ++i) {
    float y[kNr];
    memcpy(y, sum[i], sizeof y);
    for (size_t j = 0; j < kNr; ++j) y[j] = Clamp(y[j], tile.lo, tile.hi);
    memcpy(tile.output + i * tile.output_stride, y, tile.columns * sizeof(float));
  }
}

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

void gemm_f32_8x8__neon(const GemmF32Tile& tile) { ForEachBlock<8>(tile, BlockF32); }

void gemm_i8_4x4__neon(const GemmI8Tile& tile) { ForEachBlock<4, 16>(tile, BlockI8); }

}  // namespace ptq
