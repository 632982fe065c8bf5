// Conversion kernels for NEON: 16 or 32 elements at a time.
#include "kernels/convert/contract.h"
#include "kernels/convert/reciprocal.h"
#include "kernels/convert/steps.h"
#include "numerics/requantize_neon.h"

namespace ptq {

namespace {

PTQ_INLINE float32x4_t DistanceToInteger(float32x4_t x) {
#if defined(__aarch64__)
  return vabdq_f32(x, vrndnq_f32(x));
#else
  const float32x4_t magic = vdupq_n_f32(12582912.0f);  // 1.5 * 2^23, see RoundHalfEven
  return vabdq_f32(x, vsubq_f32(vaddq_f32(x, magic), magic));
#endif
}

// True if all lanes are below `limit`, no NaN among them.
PTQ_INLINE bool AllBelow(float32x4_t x, float limit) {
#if defined(__aarch64__)
  return vmaxvq_f32(x) < limit;
#else
  const uint32x4_t below = vcltq_f32(x, vdupq_n_f32(limit));
  const uint32x2_t half = vand_u32(vget_low_u32(below), vget_high_u32(below));
  return (vget_lane_u32(half, 0) & vget_lane_u32(half, 1)) != 0;
#endif
}

}  // namespace

void quantize_f32_x32__neon(const float* x, int8_t* y, size_t count, float scale,
                            const OutputRange& range) {
  const NeonRange neon = MakeNeonRange(range);
  const float32x4_t divisor = vdupq_n_f32(scale), reciprocal = vdupq_n_f32(SureReciprocal(scale));
  ForSteps<32>(x, y, count, [&](const float* from, int8_t* to) __attribute__((always_inline)) {
    float32x4_t value[8], worst;
    for (size_t i = 0; i < 8; ++i) {
      value[i] = vmulq_f32(vld1q_f32(from + 4 * i), reciprocal);
      worst = i == 0 ? DistanceToInteger(value[i]) : vmaxq_f32(worst, DistanceToInteger(value[i]));
    }
    if (!AllBelow(worst, kSureDistance)) {
      // The vector type's own division: Armv7 has none, the compiler makes it of four.
      for (size_t i = 0; i < 8; ++i)
        value[i] = NanToLowerBound(vld1q_f32(from + 4 * i) / divisor, neon);
    }
    for (size_t i = 0; i < 2; ++i) {
      const float32x4_t* v = value + 4 * i;
      vst1q_s8(to + 16 * i, ClampX16(RoundX8(v[0], v[1], neon), RoundX8(v[2], v[3], neon), neon));
    }
  });
}

void dequantize_i8_x16__neon(const int8_t* x, float* y, size_t count, float scale,
                             int32_t zero_point) {
  const int8x8_t zero = vdup_n_s8(static_cast<int8_t>(zero_point));
  const auto store = [scale](float* to, int16x8_t q) __attribute__((always_inline)) {
    vst1q_f32(to, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(q))), scale));
    vst1q_f32(to + 4, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_high_s16(q))), scale));
  };
  ForSteps<16>(x, y, count, [&](const int8_t* from, float* to) __attribute__((always_inline)) {
    const int8x16_t q = vld1q_s8(from);
    store(to, vsubl_s8(vget_low_s8(q), zero));
    store(to + 8, vsubl_s8(vget_high_s8(q), zero));
  });
}

#if defined(__aarch64__)

// The table in 16 registers, 64 bytes per instruction: an index beyond its 64 leaves what the
// instructions before have found.
void lookup_i8_x16__neon(const int8_t* x, int8_t* y, size_t count, const int8_t* table) {
  const int8x16x4_t part0 = vld1q_s8_x4(table), part1 = vld1q_s8_x4(table + 64),
                    part2 = vld1q_s8_x4(table + 128), part3 = vld1q_s8_x4(table + 192);
  const uint8x16_t half = vdupq_n_u8(128), step = vdupq_n_u8(64);
  ForSteps<16>(x, y, count, [&](const int8_t* from, int8_t* to) __attribute__((always_inline)) {
    const uint8x16_t i0 = veorq_u8(vreinterpretq_u8_s8(vld1q_s8(from)), half);
    const uint8x16_t i1 = vsubq_u8(i0, step), i2 = veorq_u8(i0, half), i3 = vsubq_u8(i2, step);
    int8x16_t value = vqtbl4q_s8(part0, i0);
    value = vqtbx4q_s8(value, part1, i1);
    value = vqtbx4q_s8(value, part2, i2);
    vst1q_s8(to, vqtbx4q_s8(value, part3, i3));
  });
}

#endif

#if defined(__aarch64__)
void to_half_f32_x8__neon(const float* x, Half* y, size_t count) {
  ForSteps<8>(x, y, count, [](const float* from, Half* to) __attribute__((always_inline)) {
    const float16x8_t half = vcvt_high_f16_f32(vcvt_f16_f32(vld1q_f32(from)), vld1q_f32(from + 4));
    memcpy(to, &half, sizeof half);
  });
}

void to_float_f16_x8__neon(const Half* x, float* y, size_t count) {
  ForSteps<8>(x, y, count, [](const Half* from, float* to) __attribute__((always_inline)) {
    float16x8_t half;
    memcpy(&half, from, sizeof half);
    vst1q_f32(to, vcvt_f32_f16(vget_low_f16(half)));
    vst1q_f32(to + 4, vcvt_high_f32_f16(half));
  });
}
#endif

}  // namespace ptq
