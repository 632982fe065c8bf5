// Portable elementwise kernels.
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

void add_i8_x1__scalar(const AddI8Row& row) {
  const float a_multiplier = row.a_multiplier, b_multiplier = row.b_multiplier;
  const int32_t a_zero_point = row.a_zero_point, b_zero_point = row.b_zero_point;
  const OutputRange range = row.range;
  const auto scaled = [](int8_t q, int32_t zero_point, float multiplier) {
    return static_cast<float>(q - zero_point) * multiplier;
  };
  if (row.a_step != 0 && row.b_step != 0) {
    for (size_t i = 0; i < row.count; ++i) {
      row.y[i] = QuantizeToRange(scaled(row.a[i], a_zero_point, a_multiplier) +
                                     scaled(row.b[i], b_zero_point, b_multiplier),
                                 range);
    }
    return;
  }
  for (size_t i = 0; i < row.count; ++i) {
    row.y[i] = QuantizeToRange(scaled(row.a[i * row.a_step], a_zero_point, a_multiplier) +
                                   scaled(row.b[i * row.b_step], b_zero_point, b_multiplier),
                               range);
  }
}

void clamp_f32_x1__scalar(const float* x, float* y, size_t count, float lo, float hi) {
  for (size_t i = 0; i < count; ++i) y[i] = Clamp(x[i], lo, hi);
}

}  // namespace ptq
