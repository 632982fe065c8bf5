// The requantization rule of requantize.h for NEON vectors, bit for bit. Make the constants once
// outside of loops by MakeNeonRange.
#ifndef PTQ_NUMERICS_REQUANTIZE_NEON_H_
#define PTQ_NUMERICS_REQUANTIZE_NEON_H_

#include <arm_neon.h>

#include "base/math.h"
#include "numerics/requantize.h"
#include "numerics/shifted_sum.h"

namespace ptq {

struct NeonRange {
  float32x4_t lo;  // q_min - zero_point
#if defined(__aarch64__)
  int16x8_t zero_point;
#else
  float32x4_t magic;                // 1.5 * 2^23, see RoundHalfEven
  int32x4_t magic_less_zero_point;  // its bits - zero_point
#endif
  int8x16_t q_min, q_max;
};

PTQ_INLINE NeonRange MakeNeonRange(const OutputRange& range) {
  NeonRange neon;
  neon.lo = vdupq_n_f32(range.lo);
#if defined(__aarch64__)
  neon.zero_point = vdupq_n_s16(static_cast<int16_t>(range.zero_point));
#else
  neon.magic = vdupq_n_f32(12582912.0f);
  neon.magic_less_zero_point = vdupq_n_s32(0x4B400000 - range.zero_point);
#endif
  neon.q_min = vdupq_n_s8(static_cast<int8_t>(static_cast<int32_t>(range.lo) + range.zero_point));
  neon.q_max = vdupq_n_s8(static_cast<int8_t>(static_cast<int32_t>(range.hi) + range.zero_point));
  return neon;
}

// rne(x) + zero_point, saturated to int16, of floats that are not NaN. Whatever lies beyond int16
// is far beyond int8, so saturating on the way changes nothing.
PTQ_INLINE int16x8_t RoundX8(float32x4_t x0, float32x4_t x1, const NeonRange& range) {
#if defined(__aarch64__)
  const int16x4_t q0 = vqmovn_s32(vcvtnq_s32_f32(x0));
  return vqaddq_s16(vqmovn_high_s32(q0, vcvtnq_s32_f32(x1)), range.zero_point);
#else
  // No rounding conversion in Armv7: the sum with the magic number is ordered like x even where
  // it is outside of RoundHalfEven's range, as floats are ordered like their bits; the saturating
  // subtraction keeps negative sums below.
  const int32x4_t q0 =
      vqsubq_s32(vreinterpretq_s32_f32(vaddq_f32(x0, range.magic)), range.magic_less_zero_point);
  const int32x4_t q1 =
      vqsubq_s32(vreinterpretq_s32_f32(vaddq_f32(x1, range.magic)), range.magic_less_zero_point);
  return vcombine_s16(vqmovn_s32(q0), vqmovn_s32(q1));
#endif
}

PTQ_INLINE int8x8_t ClampX8(int16x8_t q, const NeonRange& range) {
  return vmin_s8(vmax_s8(vqmovn_s16(q), vget_low_s8(range.q_min)), vget_low_s8(range.q_max));
}

PTQ_INLINE int8x16_t ClampX16(int16x8_t q0, int16x8_t q1, const NeonRange& range) {
#if defined(__aarch64__)
  const int8x16_t q = vqmovn_high_s16(vqmovn_s16(q0), q1);
#else
  const int8x16_t q = vcombine_s8(vqmovn_s16(q0), vqmovn_s16(q1));
#endif
  return vminq_s8(vmaxq_s8(q, range.q_min), range.q_max);
}

// As QuantizeToRange does, NaN becomes the lower bound (not a signaling one, which no arithmetic
// results in).
PTQ_INLINE float32x4_t NanToLowerBound(float32x4_t x, const NeonRange& range) {
#if defined(__aarch64__)
  return vmaxnmq_f32(x, range.lo);
#else
  return vbslq_f32(vcgtq_f32(x, range.lo), x, range.lo);
#endif
}

// QuantizeToRange of 16 floats.
PTQ_INLINE int8x16_t QuantizeX16(float32x4_t x0, float32x4_t x1, float32x4_t x2, float32x4_t x3,
                                 const NeonRange& range) {
  return ClampX16(RoundX8(NanToLowerBound(x0, range), NanToLowerBound(x1, range), range),
                  RoundX8(NanToLowerBound(x2, range), NanToLowerBound(x3, range), range), range);
}

// Requantize of 8 and 16 accumulators; multipliers are finite.
PTQ_INLINE int8x8_t RequantizeX8(int32x4_t a0, int32x4_t a1, float32x4_t m0, float32x4_t m1,
                                 const NeonRange& range) {
  return ClampX8(RoundX8(vmulq_f32(vcvtq_f32_s32(a0), m0), vmulq_f32(vcvtq_f32_s32(a1), m1), range),
                 range);
}

PTQ_INLINE int8x16_t RequantizeX16(int32x4_t a0, int32x4_t a1, int32x4_t a2, int32x4_t a3,
                                   float32x4_t m0, float32x4_t m1, float32x4_t m2, float32x4_t m3,
                                   const NeonRange& range) {
  return ClampX16(
      RoundX8(vmulq_f32(vcvtq_f32_s32(a0), m0), vmulq_f32(vcvtq_f32_s32(a1), m1), range),
      RoundX8(vmulq_f32(vcvtq_f32_s32(a2), m2), vmulq_f32(vcvtq_f32_s32(a3), m3), range), range);
}

#if defined(__aarch64__)
// The constants for shifted accumulators (numerics/shifted_sum.h).
struct NeonShiftedRange {
  float32x4_t shift, shift_and_zero_point;
  int8x16_t q_min, q_max;
  bool has_min, has_max;  // other than those of int8, to which the vectors below saturate anyway
};

PTQ_INLINE NeonShiftedRange MakeNeonShiftedRange(const OutputRange& range) {
  const NeonRange neon = MakeNeonRange(range);
  return {vdupq_n_f32(kSumShiftValue),
          vdupq_n_f32(kSumShiftValue + static_cast<float>(range.zero_point)),
          neon.q_min,
          neon.q_max,
          vgetq_lane_s8(neon.q_min, 0) != -128,
          vgetq_lane_s8(neon.q_max, 0) != 127};
}

// RoundX8 of shifted accumulators times multipliers. Adding 1.5 * 2^23 rounds to nearest even, as
// in RoundHalfEven of requantize.h; the results fit in int16, so the low halves of the sums are
// them.
PTQ_INLINE int16x8_t RoundShiftedX8(int32x4_t a0, int32x4_t a1, float32x4_t m0, float32x4_t m1,
                                    const NeonShiftedRange& range) {
  const float32x4_t x0 = vmulq_f32(vsubq_f32(vreinterpretq_f32_s32(a0), range.shift), m0);
  const float32x4_t x1 = vmulq_f32(vsubq_f32(vreinterpretq_f32_s32(a1), range.shift), m1);
  return vuzp1q_s16(vreinterpretq_s16_f32(vaddq_f32(x0, range.shift_and_zero_point)),
                    vreinterpretq_s16_f32(vaddq_f32(x1, range.shift_and_zero_point)));
}

// Requantize of 8 and 16 shifted accumulators; Saturate…: for a range without bounds of its own.
PTQ_INLINE int8x8_t SaturateShiftedX8(int32x4_t a0, int32x4_t a1, float32x4_t m0, float32x4_t m1,
                                      const NeonShiftedRange& range) {
  return vqmovn_s16(RoundShiftedX8(a0, a1, m0, m1, range));
}

PTQ_INLINE int8x16_t SaturateShiftedX16(int32x4_t a0, int32x4_t a1, int32x4_t a2, int32x4_t a3,
                                        float32x4_t m0, float32x4_t m1, float32x4_t m2,
                                        float32x4_t m3, const NeonShiftedRange& range) {
  return vqmovn_high_s16(SaturateShiftedX8(a0, a1, m0, m1, range),
                         RoundShiftedX8(a2, a3, m2, m3, range));
}

PTQ_INLINE int8x8_t RequantizeShiftedX8(int32x4_t a0, int32x4_t a1, float32x4_t m0, float32x4_t m1,
                                        const NeonShiftedRange& range) {
  const int8x8_t q = SaturateShiftedX8(a0, a1, m0, m1, range);
  return vmin_s8(vmax_s8(q, vget_low_s8(range.q_min)), vget_low_s8(range.q_max));
}

PTQ_INLINE int8x16_t RequantizeShiftedX16(int32x4_t a0, int32x4_t a1, int32x4_t a2, int32x4_t a3,
                                          float32x4_t m0, float32x4_t m1, float32x4_t m2,
                                          float32x4_t m3, const NeonShiftedRange& range) {
  const int8x16_t q = SaturateShiftedX16(a0, a1, a2, a3, m0, m1, m2, m3, range);
  return vminq_s8(vmaxq_s8(q, range.q_min), range.q_max);
}
#endif

}  // namespace ptq

#endif  // PTQ_NUMERICS_REQUANTIZE_NEON_H_
