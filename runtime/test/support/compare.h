// Comparators and the slow arithmetic that results are compared with, written directly from
// docs/numerics.md.
#ifndef PTQ_TEST_SUPPORT_COMPARE_H_
#define PTQ_TEST_SUPPORT_COMPARE_H_

#include <math.h>

#include "format/op_kinds.h"
#include "numerics/half.h"
#include "test/support/check.h"
#include "test/support/list.h"

namespace ptq_test {

// q = sat(rne(x) + zero_point, q_min, q_max) with the C library's rounding.
inline int8_t ReferenceQuantize(float x, int zero_point, int q_min, int q_max) {
  const double rounded = nearbyint(static_cast<double>(x)) + zero_point;
  return static_cast<int8_t>(rounded < q_min ? q_min : rounded > q_max ? q_max : rounded);
}

inline int8_t ReferenceRequantize(int64_t accumulator, float multiplier, int zero_point, int q_min,
                                  int q_max) {
  const float product = static_cast<float>(static_cast<int32_t>(accumulator)) * multiplier;
  return ReferenceQuantize(product, zero_point, q_min, q_max);
}

// The binary float operator `op` (ptq::OpKindId) in C.
inline float ReferenceBinary(uint16_t op, float a, float b) {
  switch (op) {
    case ptq::kAdd:
      return a + b;
    case ptq::kSub:
      return a - b;
    case ptq::kMul:
      return a * b;
    case ptq::kDiv:
      return a / b;
    case ptq::kMaximum:
      return fmaxf(a, b);
    case ptq::kMinimum:
      return fminf(a, b);
    default:
      return powf(a, b);
  }
}

// For messages.
template <typename T>
double Number(T value) {
  return static_cast<double>(value);
}
template <>
inline double Number(ptq::Half value) {
  return static_cast<double>(ptq::ToFloat(value));
}

// Bit equality; reports the first difference.
template <typename T>
bool SameBytes(const T* got, const T* expected, size_t count, const char* what) {
  for (size_t i = 0; i < count; ++i) {
    if (memcmp(&got[i], &expected[i], sizeof(T)) == 0) continue;
    char text[120];
    snprintf(text, sizeof text, "%s: element %zu is %g instead of %g", what, i, Number(got[i]),
             Number(expected[i]));
    return Check(false, text, __FILE__, __LINE__);
  }
  return Check(true, what, __FILE__, __LINE__);
}

// A float type of the runtime: its unit roundoff, and what is not held against a kernel near 0:
// Armv7 NEON flushes subnormal floats to zero, half precision has steps of 2^-24 there.
template <typename T>
struct Real;
template <>
struct Real<float> {
  static constexpr double kUnit = 0x1p-24, kNearZero = 0x1p-126;
  static float From(float x) { return x; }
  static double ToDouble(float x) { return static_cast<double>(x); }
};
template <>
struct Real<ptq::Half> {
  static constexpr double kUnit = 0x1p-11, kNearZero = 0x1p-24;
  static ptq::Half From(float x) { return ptq::ToHalf(x); }
  static double ToDouble(ptq::Half x) { return static_cast<double>(ptq::ToFloat(x)); }
};

template <typename T>
double ToDouble(T x) {
  return Real<T>::ToDouble(x);
}

// |got - expected| <= (products + 8) * unit roundoff * magnitude, magnitude = sum of |x * w|
// (docs/numerics.md).
template <typename T>
bool WithinBound(const T* got, const double* expected, const double* magnitude, size_t products,
                 size_t count, const char* what) {
  for (size_t i = 0; i < count; ++i) {
    const double terms = static_cast<double>(products + 8);
    const double near_zero = sizeof(T) == 2 ? terms * Real<T>::kNearZero : Real<T>::kNearZero;
    const double bound = terms * Real<T>::kUnit * magnitude[i] + near_zero;
    if (fabs(ToDouble(got[i]) - expected[i]) <= bound) continue;
    char text[160];
    snprintf(text, sizeof text, "%s: element %zu is %.9g instead of %.9g +- %.3g", what, i,
             ToDouble(got[i]), expected[i], bound);
    return Check(false, text, __FILE__, __LINE__);
  }
  return Check(true, what, __FILE__, __LINE__);
}

}  // namespace ptq_test

#endif  // PTQ_TEST_SUPPORT_COMPARE_H_
