// Int8 depthwise kernels for the Armv8.2 dot product, which sums the four bytes of each 32-bit
// lane: four rows of the filter are interleaved (row_groups.h).
#include <arm_neon.h>

#include "base/math.h"
#include "kernels/depthwise/contract.h"
#include "kernels/depthwise/neon_i8_output.h"
#include "kernels/depthwise/row_groups.h"
#include "kernels/depthwise/walk.h"

namespace ptq {
namespace {

constexpr size_t kRows = 4;            // of the filter in a 32-bit lane
constexpr size_t kBlockChannels = 16;  // of the packed weights

// Channels of a block of the packed weights, as many as kVectors vectors of sums hold.
template <size_t kKernel, size_t kVectors, typename Output>
struct Strip {
  using Sum = I8Sums<kVectors>;
  static constexpr size_t kGroups = (kKernel + kRows - 1) / kRows;
  struct Column {
    int8x16_t lanes[kGroups][kVectors];
  };

  Output output;
  const int8_t* const* columns;
  size_t first;
  int8x16_t weights[kGroups][kKernel][kVectors];

  PTQ_INLINE Strip(const DepthwiseI8Row& row, size_t first, const Output& output)
      : output(output), columns(row.columns), first(first) {
    const int8_t* w = row.weights +
                      first / kBlockChannels * kBlockChannels * RowGroupTaps<int8_t>(row.shape) +
                      first % kBlockChannels * kRows;
#pragma unroll
    for (size_t group = 0; group < kGroups; ++group) {
#pragma unroll
      for (size_t kx = 0; kx < kKernel; ++kx) {
#pragma unroll
        for (size_t i = 0; i < kVectors; ++i)
          weights[group][kx][i] =
              vld1q_s8(w + (group * kKernel + kx) * kBlockChannels * kRows + 16 * i);
      }
    }
  }

  PTQ_INLINE Sum Start() const { return output.Bias(); }

  PTQ_INLINE Column Load(size_t column) const {
    const int8_t* const* rows = columns + column * kKernel;
    Column values;
#pragma unroll
    for (size_t group = 0; group < kGroups; ++group) {
      int8x16_t taps[kRows];
#pragma unroll
      for (size_t i = 0; i < kRows; ++i) {
        const size_t ky = group * kRows + i;
        // Instead of an absent row, whose weights are zero, any.
        taps[i] = ky < kKernel ? LoadChannels(rows[ky] + first) : taps[i - 1];
      }
      Interleave(taps, values.lanes[group]);
    }
    return values;
  }

  PTQ_INLINE void Add(const Column& values, size_t kx, Sum* sum) const {
#pragma unroll
    for (size_t group = 0; group < kGroups; ++group) {
#pragma unroll
      for (size_t i = 0; i < kVectors; ++i)
        sum->vectors[i] = vdotq_s32(sum->vectors[i], values.lanes[group][i], weights[group][kx][i]);
    }
#pragma unroll
    for (size_t i = 0; i < kVectors; ++i) ComputeHere(&sum->vectors[i]);
  }

  PTQ_INLINE void Store(size_t x, const Sum& sum) const { output.Store(x, sum); }

  static PTQ_INLINE int8x16_t LoadChannels(const int8_t* x) {
    if constexpr (kVectors == 4) return vld1q_s8(x);
    return vcombine_s8(vld1_s8(x), vdup_n_s8(0));
  }

  // lanes[i]: the four rows of channels 4 * i ... 4 * i + 3.
  static PTQ_INLINE void Interleave(const int8x16_t row[kRows], int8x16_t lanes[kVectors]) {
    const int16x8_t low01 = vreinterpretq_s16_s8(vzip1q_s8(row[0], row[1]));
    const int16x8_t low23 = vreinterpretq_s16_s8(vzip1q_s8(row[2], row[3]));
    lanes[0] = vreinterpretq_s8_s16(vzip1q_s16(low01, low23));
    lanes[1] = vreinterpretq_s8_s16(vzip2q_s16(low01, low23));
    if constexpr (kVectors == 4) {
      const int16x8_t high01 = vreinterpretq_s16_s8(vzip2q_s8(row[0], row[1]));
      const int16x8_t high23 = vreinterpretq_s16_s8(vzip2q_s8(row[2], row[3]));
      lanes[2] = vreinterpretq_s8_s16(vzip1q_s16(high01, high23));
      lanes[3] = vreinterpretq_s8_s16(vzip2q_s16(high01, high23));
    }
  }
};

template <size_t kKernel, size_t kVectors, typename Output>
PTQ_INLINE Strip<kKernel, kVectors, Output> MakeStrip(const DepthwiseI8Row& row, size_t first,
                                                      const Output& output) {
  return {row, first, output};
}

template <size_t kKernel, size_t kStride, size_t kVectors>
PTQ_INLINE void SquareRow(const DepthwiseI8Row& row) {
  ForEachI8Block<kVectors>(row, [&](size_t first,
                                    const auto& output) __attribute__((always_inline)) {
    WalkColumns<kKernel, kStride>(MakeStrip<kKernel, kVectors>(row, first, output), row.outputs);
  });
}

}  // namespace

void depthwise_i8_3x3s1__dotprod(const DepthwiseI8Row& row) { SquareRow<3, 1, 4>(row); }

void depthwise_i8_3x3s2__dotprod(const DepthwiseI8Row& row) { SquareRow<3, 2, 4>(row); }

void depthwise_i8_5x5s1__dotprod(const DepthwiseI8Row& row) { SquareRow<5, 1, 2>(row); }

void depthwise_i8_5x5s2__dotprod(const DepthwiseI8Row& row) { SquareRow<5, 2, 2>(row); }

}  // namespace ptq
