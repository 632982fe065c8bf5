// gemm for the Armv8.6 matrix multiply: 6 pixels by 16 channels, 24 accumulators of 2 by 2.
#include "kernels/gemm/contract.h"
#include "kernels/gemm/neon_store_i8.h"
#include "kernels/gemm/neon_tile.h"

namespace ptq {
namespace {

// sum (2 pixels by 2 outputs) += x (2 pixels by 8 channels) * w (2 outputs by 8 channels)
PTQ_INLINE void MultiplyAdd(int32x4_t& sum, int32x4_t x, int32x4_t w) {
  __asm__ volatile("smmla %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(x), "w"(w));
}

// 16 channels of two pixels: the first 8 of both, and the last 8.
PTQ_INLINE void LoadPixels(const uint8_t*& row0, const uint8_t*& row1, int32x4_t& first,
                           int32x4_t& last) {
  int32x4_t x0, x1;
  LoadNext(row0, x0);
  LoadNext(row1, x1);
  __asm__ volatile("zip1 %0.2d, %1.2d, %2.2d" : "=w"(first) : "w"(x0), "w"(x1));
  __asm__ volatile("zip2 %0.2d, %1.2d, %2.2d" : "=w"(last) : "w"(x0), "w"(x1));
}

class GemmI8 {
 public:
  static constexpr size_t kMr = 30, kGroupRows = 6, kKr = 8;
  using Tile = GemmI8Tile;

  PTQ_INLINE explicit GemmI8(const Tile& tile)
      : steps_(CeilDiv(tile.depth, kKr)), range_(MakeI8Range(tile.range)) {}

  template <size_t kRows, size_t kVectors>
  PTQ_INLINE void Block(const Tile& tile, size_t column, const uint8_t*& w) const {
    constexpr size_t kPairs = (kRows + 1) / 2;
    int32x4_t pairs[kPairs][2 * kVectors], sum[kRows][kVectors];
#pragma unroll
    for (size_t c = 0; c < 2 * kVectors; ++c) {
      const int32x2_t bias = vld1_s32(tile.bias + column + 2 * c);
#pragma unroll
      for (size_t p = 0; p < kPairs; ++p) pairs[p][c] = vcombine_s32(bias, bias);
    }
    const int8_t* const* rows = tile.rows;
    for (size_t taps = tile.taps; taps != 0; --taps, rows += kMr)
      AccumulateTap<kRows>(rows, w, pairs);
#pragma unroll
    for (size_t i = 0; i < kRows; ++i) {
#pragma unroll
      for (size_t v = 0; v < kVectors; ++v) {
        const int64x2_t left = vreinterpretq_s64_s32(pairs[i / 2][2 * v]),
                        right = vreinterpretq_s64_s32(pairs[i / 2][2 * v + 1]);
        sum[i][v] =
            vreinterpretq_s32_s64(i % 2 == 0 ? vzip1q_s64(left, right) : vzip2q_s64(left, right));
      }
    }
    StoreBlock(tile, range_, column, sum);
  }

 private:
  // w: [steps of 8 channels][16 outputs][8]. The last of an odd number of rows is its own partner.
  template <size_t kRows, size_t kPairs, size_t kColumnPairs>
  PTQ_INLINE void AccumulateTap(const int8_t* const* rows, const uint8_t*& w,
                                int32x4_t (&sum)[kPairs][kColumnPairs]) const {
    const uint8_t* row[2 * kPairs];
#pragma unroll
    for (size_t i = 0; i < 2 * kPairs; ++i)
      row[i] = reinterpret_cast<const uint8_t*>(rows[Min(i, kRows - 1)]);
    int32x4_t x[kPairs], x_next[kPairs];
    for (size_t k = steps_ / 2; k != 0; --k) {
#pragma unroll
      for (size_t p = 0; p < kPairs; ++p) LoadPixels(row[2 * p], row[2 * p + 1], x[p], x_next[p]);
      AccumulateStep(x, w, sum);
      AccumulateStep(x_next, w, sum);
    }
    if (steps_ % 2 == 0) return;
#pragma unroll
    for (size_t p = 0; p < kPairs; ++p) LoadPixels(row[2 * p], row[2 * p + 1], x[p], x_next[p]);
    AccumulateStep(x, w, sum);
  }

  template <size_t kPairs, size_t kColumnPairs>
  PTQ_INLINE static void AccumulateStep(const int32x4_t (&x)[kPairs], const uint8_t*& w,
                                        int32x4_t (&sum)[kPairs][kColumnPairs]) {
#pragma unroll
    for (size_t c = 0; c < kColumnPairs; c += 2) {
      int32x4_t w0, w1;
      if (c + 2 < kColumnPairs) {
        LoadPair<2 * kVectorBytes>(w, w0, w1);
      } else {  // and on to the next step, past columns that are not used
        LoadPair<kTileColumns * kKr - (kColumnPairs - 2) * kVectorBytes>(w, w0, w1);
      }
#pragma unroll
      for (size_t p = 0; p < kPairs; ++p) MultiplyAdd(sum[p][c], x[p], w0);
#pragma unroll
      for (size_t p = 0; p < kPairs; ++p) MultiplyAdd(sum[p][c + 1], x[p], w1);
    }
  }

  size_t steps_;
  I8Range range_;
};

}  // namespace

void gemm_i8_6x16__i8mm(const GemmI8Tile& tile) { RunTile<GemmI8>(tile); }

}  // namespace ptq
