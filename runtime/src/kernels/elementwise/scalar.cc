// Portable elementwise kernels.
#include <math.h>

#include "base/math.h"
#include "kernels/elementwise/contract.h"

namespace ptq {
namespace {

// One loop per step pattern, so that each is a plain vectorisable loop.
template <typename F>
inline void Binary(const BinaryF32Row& row, F f) {
  const float *a = row.a, *b = row.b;
  float* y = row.y;
  const float lo = row.lo, hi = row.hi;
  if (row.a_step != 0 && row.b_step != 0) {
    for (size_t i = 0; i < row.count; ++i) y[i] = Clamp(f(a[i], b[i]), lo, hi);
  } else if (row.a_step != 0) {
    const float b0 = b[0];
    for (size_t i = 0; i < row.count; ++i) y[i] = Clamp(f(a[i], b0), lo, hi);
  } else if (row.b_step != 0) {
    const float a0 = a[0];
    for (size_t i = 0; i < row.count; ++i) y[i] = Clamp(f(a0, b[i]), lo, hi);
  } else {
    const float value = Clamp(f(a[0], b[0]), lo, hi);
    for (size_t i = 0; i < row.count; ++i) y[i] = value;
  }
}

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

void add_f32_x1__scalar(const BinaryF32Row& row) {
  Binary(row, [](float a, float b) { return a + b; });
}

void sub_f32_x1__scalar(const BinaryF32Row& row) {
  Binary(row, [](float a, float b) { return a - b; });
}

void mul_f32_x1__scalar(const BinaryF32Row& row) {
  Binary(row, [](float a, float b) { return a * b; });
}

void div_f32_x1__scalar(const BinaryF32Row& row) {
  Binary(row, [](float a, float b) { return a / b; });
}

// NaN of either operand is the result, as in ONNX Max and Min.
void maximum_f32_x1__scalar(const BinaryF32Row& row) {
  Binary(row, [](float a, float b) { return a > b || a != a ? a : b; });
}

void minimum_f32_x1__scalar(const BinaryF32Row& row) {
  Binary(row, [](float a, float b) { return a < b || a != a ? a : b; });
}

// Squares, which normalisations and distances are made of, need no power series.
void pow_f32_x1__scalar(const BinaryF32Row& row) {
  if (row.b_step == 0 && row.b[0] == 2.0f) {
    Binary(row, [](float a, float) { return a * a; });
  } else {
    Binary(row, [](float a, float b) { return powf(a, b); });
  }
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

void clamp_f32_x1__scalar(const float* x, float* y, size_t count, float lo, float hi) {
  for (size_t i = 0; i < count; ++i) y[i] = Clamp(x[i], lo, hi);
}

}  // namespace ptq
