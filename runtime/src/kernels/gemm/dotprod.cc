// gemm for the Armv8.2 dot product: 8 pixels by 8 channels, 16 accumulators of four outputs.
#include <arm_neon.h>
#include <string.h>

#include "base/math.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/store_i8.h"

namespace ptq {
namespace {

constexpr size_t kMr = 8, kNr = 8, kKr = 4;

// 4 channels: lane kLane of every x holds them, w the weights of 8 outputs.
template <int kLane>
PTQ_INLINE void AccumulateLane(int32x4_t sum[kMr][2], const int8x16_t x[kMr], const int8_t* w) {
  const int8x16_t w0 = vld1q_s8(w), w1 = vld1q_s8(w + 16);
#pragma unroll
  for (size_t i = 0; i < kMr; ++i) {
    sum[i][0] = vdotq_laneq_s32(sum[i][0], w0, x[i], kLane);
    sum[i][1] = vdotq_laneq_s32(sum[i][1], w1, x[i], kLane);
  }
}

}  // namespace

static void BlockI8(const GemmI8Tile& tile) {
  constexpr size_t kStep = kKr * kNr;  // bytes of packed weights for 4 channels
  int32x4_t sum[kMr][2];
  for (size_t i = 0; i < kMr; ++i) {
    sum[i][0] = vld1q_s32(tile.bias);
    sum[i][1] = vld1q_s32(tile.bias + 4);
  }
  const int8_t* w = tile.weights;
  for (size_t tap = 0; tap < tile.taps; ++tap) {
    const int8_t* rows[kMr];
    memcpy(rows, tile.rows + tap * kMr, sizeof rows);
    size_t k = 0;
    for (; k + 16 <= tile.depth; k += 16, w += 4 * kStep) {
      int8x16_t x[kMr];
      for (size_t i = 0; i < kMr; ++i) x[i] = vld1q_s8(rows[i] + k);
      AccumulateLane<0>(sum, x, w);
      AccumulateLane<1>(sum, x, w + kStep);
      AccumulateLane<2>(sum, x, w + 2 * kStep);
      AccumulateLane<3>(sum, x, w + 3 * kStep);
    }
    for (; k < tile.depth; k += kKr, w += kStep) {
      int8x16_t x[kMr];
      for (size_t i = 0; i < kMr; ++i) {
        int32_t four = 0;
        memcpy(&four, rows[i] + k, Min(kKr, tile.depth - k));
        x[i] = vreinterpretq_s8_s32(vdupq_n_s32(four));
      }
      AccumulateLane<0>(sum, x, w);
    }
  }
  for (size_t i = 0; i < tile.valid_rows; ++i) {
    int32_t accumulator[kNr];
    memcpy(accumulator, sum[i], sizeof accumulator);
    StoreRow<kNr>(tile, i, accumulator);
  }
}

void gemm_i8_8x8__dotprod(const GemmI8Tile& tile) { ForEachBlock<8, 4>(tile, BlockI8); }

}  // namespace ptq
