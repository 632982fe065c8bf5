// gemm for the Armv8.2 dot product: 5 pixels by 16 channels, 20 accumulators of four outputs.
//
//   sum[i][v] += (4 outputs by 4 channels of w) * (4 channels, a lane, of x[i])
//
// 5 rows leave room for 32 bytes of each, loaded by one instruction: fewer instructions in all than
// a tile of 6 by 16.
#include <arm_neon.h>

#include "base/math.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/neon_store_i8.h"
#include "kernels/gemm/neon_tile.h"

namespace ptq {
namespace {

class GemmI8 {
 public:
  static constexpr size_t kMr = 25, kGroupRows = 5, kKr = 4;
  using Tile = GemmI8Tile;

  PTQ_INLINE explicit GemmI8(const Tile& tile)
      : lanes_(CeilDiv(tile.depth, kKr)), range_(MakeI8Range(tile.range)) {}

  template <size_t kRows, size_t kVectors>
  PTQ_INLINE void Block(const Tile& tile, size_t column, const uint8_t*& w) const {
    const int32_t* bias = tile.bias + column;
    int32x4_t sum[kRows][kVectors];
#pragma unroll
    for (size_t i = 0; i < kRows; ++i) {  // a load for each row: moving registers takes as many
      LoadPairAt<0>(bias, sum[i][0], sum[i][1]);
      if constexpr (kVectors == 4) LoadPairAt<2 * kVectorBytes>(bias, sum[i][2], sum[i][3]);
    }
    const int8_t* const* rows = tile.rows;
    for (size_t taps = tile.taps; taps != 0; --taps, rows += kMr) AccumulateTap(rows, w, sum);
    StoreBlock(tile, range_, column, sum);
  }

 private:
  // w: [lanes of the depth][16 outputs][4].
  template <size_t kRows, size_t kVectors>
  PTQ_INLINE void AccumulateTap(const int8_t* const* rows, const uint8_t*& w,
                                int32x4_t (&sum)[kRows][kVectors]) const {
    const uint8_t* row[kRows];
#pragma unroll
    for (size_t i = 0; i < kRows; ++i) row[i] = reinterpret_cast<const uint8_t*>(rows[i]);
    int32x4_t x[kRows], x_next[kRows];
    for (size_t k = lanes_ / 8; k != 0; --k) {
#pragma unroll
      for (size_t i = 0; i < kRows; ++i) LoadPair<2 * kVectorBytes>(row[i], x[i], x_next[i]);
      AccumulateVector(x, w, sum);
      AccumulateVector(x_next, w, sum);
    }
    const size_t rest = lanes_ % 8;
    if (rest == 0) return;
#pragma unroll
    for (size_t i = 0; i < kRows; ++i) LoadNext(row[i], x[i]);
    if (rest >= 4) {
      AccumulateVector(x, w, sum);
      if (rest == 4) return;
#pragma unroll
      for (size_t i = 0; i < kRows; ++i) LoadNext(row[i], x[i]);
    }
    // Up to 15 bytes of x lie behind the row: in lanes that are not used, or where weights are
    // zero.
    AccumulateLane<0>(x, w, sum);
    if (rest % 4 > 1) AccumulateLane<1>(x, w, sum);
    if (rest % 4 > 2) AccumulateLane<2>(x, w, sum);
  }

  // All four lanes of each x.
  template <size_t kRows, size_t kVectors>
  PTQ_INLINE static void AccumulateVector(const int32x4_t (&x)[kRows], const uint8_t*& w,
                                          int32x4_t (&sum)[kRows][kVectors]) {
    AccumulateLane<0>(x, w, sum);
    AccumulateLane<1>(x, w, sum);
    AccumulateLane<2>(x, w, sum);
    AccumulateLane<3>(x, w, sum);
  }

  // 64 bytes of weights, of which the first kVectors * 16 are used.
  template <int kLane, size_t kRows, size_t kVectors>
  PTQ_INLINE static void AccumulateLane(const int32x4_t (&x)[kRows], const uint8_t*& w,
                                        int32x4_t (&sum)[kRows][kVectors]) {
#pragma unroll
    for (size_t v = 0; v < kVectors; v += 2) {
      int32x4_t w0, w1;
      LoadPair<kTileColumns * kKr * 2 / kVectors>(w, w0, w1);
#pragma unroll
      for (size_t i = 0; i < kRows; ++i) MultiplyAdd<kLane>(sum[i][v], w0, x[i]);
#pragma unroll
      for (size_t i = 0; i < kRows; ++i) MultiplyAdd<kLane>(sum[i][v + 1], w1, x[i]);
    }
  }

  template <int kLane>
  PTQ_INLINE static void MultiplyAdd(int32x4_t& sum, int32x4_t w, int32x4_t x) {
    __asm__ volatile("sdot %0.4s, %1.16b, %2.4b[%3]" : "+w"(sum) : "w"(w), "w"(x), "n"(kLane));
  }

  size_t lanes_;
  I8Range range_;
};

}  // namespace

void gemm_i8_5x16__dotprod(const GemmI8Tile& tile) { RunTile<GemmI8>(tile); }

}  // namespace ptq
