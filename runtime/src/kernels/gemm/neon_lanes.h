// The innermost loop of the A64 kernels that multiply vectors of weights by lanes of x: 5 pixels by
// 16 channels in 20 accumulators. Float and the dot product share it: a lane is 4 bytes, one float
// or 4 int8.
//
//   sum[i][v] += (4 outputs of w) * (a lane of x[i])      w: [lane of the depth][16] of 4 bytes
//
// 5 rows leave room for 32 bytes of each, loaded by one instruction: fewer instructions in all than
// a tile of 6 by 16.
#ifndef PTQ_KERNELS_GEMM_NEON_LANES_H_
#define PTQ_KERNELS_GEMM_NEON_LANES_H_

#include <arm_neon.h>

#include "base/math.h"
#include "kernels/gemm/neon_tile.h"

namespace ptq {
namespace {

constexpr size_t kLaneMr = 25, kLaneGroupRows = 5, kLaneBytes = 4;

// One lane of the depth: 64 bytes of weights, of which the first kVectors * 16 are used.
template <typename Math, int kLane, size_t kRows, size_t kVectors>
PTQ_INLINE void AccumulateLane(const typename Math::Vector (&x)[kRows], const uint8_t*& w,
                               typename Math::Vector (&sum)[kRows][kVectors]) {
#pragma unroll
  for (size_t v = 0; v < kVectors; v += 2) {
    typename Math::Vector w0, w1;
    LoadPair<kTileColumns * kLaneBytes * 2 / kVectors>(w, w0, w1);
#pragma unroll
    for (size_t i = 0; i < kRows; ++i) Math::template MultiplyAdd<kLane>(sum[i][v], w0, x[i]);
#pragma unroll
    for (size_t i = 0; i < kRows; ++i) Math::template MultiplyAdd<kLane>(sum[i][v + 1], w1, x[i]);
  }
}

// The depth of a tap in lanes: 8 of them are loaded at once.
struct Lanes {
  size_t eights, rest;

  PTQ_INLINE explicit Lanes(size_t lanes) : eights(lanes / 8), rest(lanes % 8) {}
};

// All four lanes of each x.
template <typename Math, size_t kRows, size_t kVectors>
PTQ_INLINE void AccumulateVector(const typename Math::Vector (&x)[kRows], const uint8_t*& w,
                                 typename Math::Vector (&sum)[kRows][kVectors]) {
  AccumulateLane<Math, 0>(x, w, sum);
  AccumulateLane<Math, 1>(x, w, sum);
  AccumulateLane<Math, 2>(x, w, sum);
  AccumulateLane<Math, 3>(x, w, sum);
}

// bias: kVectors * 4 values. Moves `w` past the block's weights, [taps][lanes][16] of 4 bytes.
// rows: [taps][kLaneMr], of which the first kRows are read.
template <typename Math, size_t kRows, size_t kVectors, typename T>
PTQ_INLINE void AccumulateBlock(const T* const* rows, size_t taps, const Lanes& lanes,
                                const void* bias, const uint8_t*& w,
                                typename Math::Vector (&sum)[kRows][kVectors]) {
#pragma unroll
  for (size_t i = 0; i < kRows; ++i) {  // a load for each row: moving registers takes as many
    LoadPairAt<0>(bias, sum[i][0], sum[i][1]);
    if constexpr (kVectors == 4) LoadPairAt<2 * kVectorBytes>(bias, sum[i][2], sum[i][3]);
  }
  for (; taps != 0; --taps, rows += kLaneMr) {
    const uint8_t* row[kRows];
#pragma unroll
    for (size_t i = 0; i < kRows; ++i) row[i] = reinterpret_cast<const uint8_t*>(rows[i]);
    typename Math::Vector x[kRows], x_next[kRows];
    for (size_t k = lanes.eights; k != 0; --k) {
#pragma unroll
      for (size_t i = 0; i < kRows; ++i) LoadPair<2 * kVectorBytes>(row[i], x[i], x_next[i]);
      AccumulateVector<Math>(x, w, sum);
      AccumulateVector<Math>(x_next, w, sum);
    }
    if (lanes.rest == 0) continue;
#pragma unroll
    for (size_t i = 0; i < kRows; ++i) LoadNext(row[i], x[i]);
    if (lanes.rest >= 4) {
      AccumulateVector<Math>(x, w, sum);
      if (lanes.rest == 4) continue;
#pragma unroll
      for (size_t i = 0; i < kRows; ++i) LoadNext(row[i], x[i]);
    }
    // Up to 12 bytes of x lie behind the row, in lanes that are not used.
    AccumulateLane<Math, 0>(x, w, sum);
    if (lanes.rest % 4 > 1) AccumulateLane<Math, 1>(x, w, sum);
    if (lanes.rest % 4 > 2) AccumulateLane<Math, 2>(x, w, sum);
  }
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_NEON_LANES_H_
