// What NEON depthwise kernels begin and end with: int8 outputs of neighbouring channels.
#ifndef PTQ_KERNELS_DEPTHWISE_NEON_I8_OUTPUT_H_
#define PTQ_KERNELS_DEPTHWISE_NEON_I8_OUTPUT_H_

#include <arm_neon.h>

#include "base/math.h"
#include "kernels/depthwise/contract.h"
#include "numerics/requantize_neon.h"
#include "numerics/shifted_sum.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

// Sums of 4 * kVectors channels, in order.
template <size_t kVectors>
struct I8Sums {
  int32x4_t vectors[kVectors];
};

// Bias and multipliers are read where they are needed: registers are scarcer than loads. Members
// instead of a reference to the row, since a store of an int8 might change what lies behind one.
template <size_t kVectors>
struct I8Output {
  static constexpr size_t kChannels = 4 * kVectors;
  using Sums = I8Sums<kVectors>;

  const int32_t* bias;
  const float* multiplier;
  int8_t* y;
  size_t y_stride;

  PTQ_INLINE I8Output(const DepthwiseI8Row& row, size_t first)
      : bias(row.bias + first),
        multiplier(row.multiplier + first),
        y(row.output_i8 + first),
        y_stride(row.output_stride) {}

  PTQ_INLINE Sums Bias() const {
    Sums sums;
#pragma unroll
    for (size_t i = 0; i < kVectors; ++i) sums.vectors[i] = vld1q_s32(bias + 4 * i);
    return sums;
  }

  PTQ_INLINE float32x4_t Multiplier(size_t i) const { return vld1q_f32(multiplier + 4 * i); }
};

// All channels of the block, int8.
template <size_t kVectors>
struct FullI8Output : I8Output<kVectors> {
  NeonRange range;

  PTQ_INLINE FullI8Output(const DepthwiseI8Row& row, size_t first, const NeonRange& range)
      : I8Output<kVectors>(row, first), range(range) {}

  PTQ_INLINE void Store(size_t x, const I8Sums<kVectors>& sums) const {
    const int32x4_t* s = sums.vectors;
    int8_t* to = this->y + x * this->y_stride;
    if constexpr (kVectors == 4) {
      vst1q_s8(to, RequantizeX16(s[0], s[1], s[2], s[3], this->Multiplier(0), this->Multiplier(1),
                                 this->Multiplier(2), this->Multiplier(3), range));
    } else {
      vst1_s8(to, RequantizeX8(s[0], s[1], this->Multiplier(0), this->Multiplier(1), range));
    }
  }
};

#if defined(__aarch64__)
// The same of shifted sums.
template <size_t kVectors>
struct ShiftedI8Output : I8Output<kVectors> {
  NeonShiftedRange range;

  PTQ_INLINE ShiftedI8Output(const DepthwiseI8Row& row, size_t first, const NeonShiftedRange& range)
      : I8Output<kVectors>(row, first), range(range) {}

  PTQ_INLINE void Store(size_t x, const I8Sums<kVectors>& sums) const {
    const int32x4_t* s = sums.vectors;
    int8_t* to = this->y + x * this->y_stride;
    if constexpr (kVectors == 4) {
      vst1q_s8(
          to, RequantizeShiftedX16(s[0], s[1], s[2], s[3], this->Multiplier(0), this->Multiplier(1),
                                   this->Multiplier(2), this->Multiplier(3), range));
    } else {
      vst1_s8(to, RequantizeShiftedX8(s[0], s[1], this->Multiplier(0), this->Multiplier(1), range));
    }
  }
};
#endif

// The first channels of the block only, or float: rare, so it need not be fast.
template <size_t kVectors>
struct PartialI8Output : I8Output<kVectors> {
  static constexpr size_t kChannels = 4 * kVectors;

  const DepthwiseI8Row& row;
  size_t first;

  PTQ_INLINE PartialI8Output(const DepthwiseI8Row& row, size_t first)
      : I8Output<kVectors>(row, first), row(row), first(first) {}

  PTQ_INLINE void Store(size_t x, const I8Sums<kVectors>& sums) const {
    const int32x4_t shift = vdupq_n_s32(row.shifted_sums ? kSumShift : 0);
    float scaled[kChannels];
#pragma unroll
    for (size_t i = 0; i < kVectors; ++i) {
      const float32x4_t sum = vcvtq_f32_s32(vsubq_s32(sums.vectors[i], shift));
      vst1q_f32(scaled + 4 * i, vmulq_f32(sum, this->Multiplier(i)));
    }
    const size_t count = Min(kChannels, row.shape.channels - first);
    const size_t at = x * row.output_stride + first;
    for (size_t c = 0; c < count; ++c) {
      if (row.output_i8 != nullptr) {
        row.output_i8[at + c] = QuantizeToRange(scaled[c], row.range);
      } else {
        row.output_f32[at + c] = Clamp(scaled[c], row.lo, row.hi);
      }
    }
  }
};

// Calls run(first channel, output) for every block of channels.
template <size_t kVectors, typename Run>
PTQ_INLINE void ForEachI8Block(const DepthwiseI8Row& row, Run run) {
  constexpr size_t kChannels = 4 * kVectors;
  const size_t full = row.output_i8 != nullptr ? row.shape.channels / kChannels * kChannels : 0;
  size_t c = 0;
#if defined(__aarch64__)
  if (row.shifted_sums) {
    const NeonShiftedRange range = MakeNeonShiftedRange(row.range);
    for (; c < full; c += kChannels) run(c, ShiftedI8Output<kVectors>(row, c, range));
  }
#endif
  const NeonRange range = MakeNeonRange(row.range);
  for (; c < full; c += kChannels) run(c, FullI8Output<kVectors>(row, c, range));
  for (; c < row.shape.channels; c += kChannels) run(c, PartialI8Output<kVectors>(row, c));
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_NEON_I8_OUTPUT_H_
