// int8 elementwise kernels for NEON: 16 elements at a time.
#include "kernels/elementwise/int8_rows.h"
#include "numerics/requantize_neon.h"

namespace ptq {
namespace {

// y = f(a, b) for 16 elements at a time, as vectors of a and b less their zero points: elements 0
// ... 7 of a, 8 ... 15 of a, then of b.
template <typename F>
PTQ_INLINE void Rows(const BinaryI8Row& row, F f) {
  const int8x8_t a_zero = vdup_n_s8(static_cast<int8_t>(row.a_zero_point)),
                 b_zero = vdup_n_s8(static_cast<int8_t>(row.b_zero_point));
  WalkRow<16>(row, [&](const int8_t* a, const int8_t* b, int8_t* y) __attribute__((always_inline)) {
    const int8x16_t qa = vld1q_s8(a), qb = vld1q_s8(b);
    vst1q_s8(y, f(vsubl_s8(vget_low_s8(qa), a_zero), vsubl_s8(vget_high_s8(qa), a_zero),
                  vsubl_s8(vget_low_s8(qb), b_zero), vsubl_s8(vget_high_s8(qb), b_zero)));
  });
}

PTQ_INLINE float32x4_t Scale(int16x4_t x, float32x4_t multiplier) {
  return vmulq_f32(vcvtq_f32_s32(vmovl_s16(x)), multiplier);
}

// combine(scaled a, scaled b), quantized.
template <typename Combine>
PTQ_INLINE void ScaledRows(const BinaryI8Row& row, Combine combine) {
  const float32x4_t ma = vdupq_n_f32(row.a_multiplier), mb = vdupq_n_f32(row.b_multiplier);
  const NeonRange range = MakeNeonRange(row.range);
  Rows(row, [&](int16x8_t a0, int16x8_t a1, int16x8_t b0,
                int16x8_t b1) __attribute__((always_inline)) {
    return QuantizeX16(combine(Scale(vget_low_s16(a0), ma), Scale(vget_low_s16(b0), mb)),
                       combine(Scale(vget_high_s16(a0), ma), Scale(vget_high_s16(b0), mb)),
                       combine(Scale(vget_low_s16(a1), ma), Scale(vget_low_s16(b1), mb)),
                       combine(Scale(vget_high_s16(a1), ma), Scale(vget_high_s16(b1), mb)), range);
  });
}

}  // namespace

void add_i8_x16__neon(const BinaryI8Row& row) {
  const auto sum = [](float32x4_t a, float32x4_t b)
                       __attribute__((always_inline)) { return vaddq_f32(a, b); };
  ScaledRows(row, sum);
}

void sub_i8_x16__neon(const BinaryI8Row& row) {
  const auto difference = [](float32x4_t a, float32x4_t b)
                              __attribute__((always_inline)) { return vsubq_f32(a, b); };
  ScaledRows(row, difference);
}

void mul_i8_x16__neon(const BinaryI8Row& row) {
  const float32x4_t m = vdupq_n_f32(row.a_multiplier);
  const NeonRange range = MakeNeonRange(row.range);
  Rows(row,
       [&](int16x8_t a0, int16x8_t a1, int16x8_t b0, int16x8_t b1) __attribute__((always_inline)) {
         return RequantizeX16(vmull_s16(vget_low_s16(a0), vget_low_s16(b0)),
                              vmull_s16(vget_high_s16(a0), vget_high_s16(b0)),
                              vmull_s16(vget_low_s16(a1), vget_low_s16(b1)),
                              vmull_s16(vget_high_s16(a1), vget_high_s16(b1)), m, m, m, m, range);
       });
}

}  // namespace ptq
