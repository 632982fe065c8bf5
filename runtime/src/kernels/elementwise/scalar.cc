// Elementwise kernels for the toolchain's baseline; on Arm the float ones are NEON.
#include <math.h>

#include "kernels/elementwise/plain.h"

namespace ptq {
namespace {

// f of the operands in steps of the output.
template <typename F>
inline void BinaryI8(const BinaryI8Row& row, F f) {
  const BinaryI8Row r = row;  // a copy: stores to y cannot alias it
  for (size_t i = 0; i < r.count; ++i) {
    const float a = static_cast<float>(r.a[i * r.a_step] - r.a_zero_point) * r.a_multiplier;
    const float b = static_cast<float>(r.b[i * r.b_step] - r.b_zero_point) * r.b_multiplier;
    r.y[i] = QuantizeToRange(f(a, b), r.range);
  }
}

}  // namespace

void add_f32_x8__scalar(const BinaryF32Row& row) { AddF32(row); }

void sub_f32_x8__scalar(const BinaryF32Row& row) { SubF32(row); }

void mul_f32_x8__scalar(const BinaryF32Row& row) { MulF32(row); }

void div_f32_x8__scalar(const BinaryF32Row& row) { DivF32(row); }

void maximum_f32_x8__scalar(const BinaryF32Row& row) { MaximumF32(row); }

void minimum_f32_x8__scalar(const BinaryF32Row& row) { MinimumF32(row); }

// Squares, which normalisations and distances are made of, need no power series.
void pow_f32_x1__scalar(const BinaryF32Row& row) {
  if (row.b_step == 0 && row.b[0] == 2.0f) {
    const auto square = [](VecF a, VecF) __attribute__((always_inline)) { return a * a; };
    return Binary(row, square);
  }
  for (size_t i = 0; i < row.count; ++i)
    row.y[i] = Clamp(powf(row.a[i * row.a_step], row.b[i * row.b_step]), row.lo, row.hi);
}

void clamp_f32_x8__scalar(const float* x, float* y, size_t count, float lo, float hi) {
  ClampF32(x, y, count, lo, hi);
}

void clamp_f16_x1__scalar(const Half* x, Half* y, size_t count, float lo, float hi) {
  for (size_t i = 0; i < count; ++i) y[i] = ToHalf(Clamp(ToFloat(x[i]), lo, hi));
}

void add_i8_x1__scalar(const BinaryI8Row& row) {
  BinaryI8(row, [](float a, float b) { return a + b; });
}

void sub_i8_x1__scalar(const BinaryI8Row& row) {
  BinaryI8(row, [](float a, float b) { return a - b; });
}

void mul_i8_x1__scalar(const BinaryI8Row& row) {
  const BinaryI8Row r = row;  // a copy: stores to y cannot alias it
  for (size_t i = 0; i < r.count; ++i) {
    const int32_t a = r.a[i * r.a_step] - r.a_zero_point, b = r.b[i * r.b_step] - r.b_zero_point;
    r.y[i] = Requantize(a * b, r.a_multiplier, r.range);
  }
}

}  // namespace ptq
