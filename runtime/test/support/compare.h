// Comparators and the slow arithmetic that results are compared with, written directly from
// docs/numerics.md.
#ifndef PTQ_TEST_SUPPORT_COMPARE_H_
#define PTQ_TEST_SUPPORT_COMPARE_H_

#include <math.h>

#include "format/op_kinds.h"
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

// Bit equality; reports the first difference.
template <typename T>
bool SameBytes(const T* got, const T* expected, size_t count, const char* what) {
  for (size_t i = 0; i < count; ++i) {
    if (memcmp(&got[i], &expected[i], sizeof(T)) == 0) continue;
    char text[120];
    snprintf(text, sizeof text, "%s: element %zu is %g instead of %g", what, i,
             static_cast<double>(got[i]), static_cast<double>(expected[i]));
    return Check(false, text, __FILE__, __LINE__);
  }
  return Check(true, what, __FILE__, __LINE__);
}

// |got - expected| <= (products + 8) * 2^-24 * magnitude, magnitude = sum of |x * w|
// (docs/numerics.md). The smallest normal is added: Armv7 NEON flushes subnormals to zero.
inline bool WithinBound(const float* got, const double* expected, const double* magnitude,
                        size_t products, size_t count, const char* what) {
  for (size_t i = 0; i < count; ++i) {
    const double bound = static_cast<double>(products + 8) * 0x1p-24 * magnitude[i] + 0x1p-126;
    if (fabs(static_cast<double>(got[i]) - expected[i]) <= bound) continue;
    char text[160];
    snprintf(text, sizeof text, "%s: element %zu is %.9g instead of %.9g +- %.3g", what, i,
             static_cast<double>(got[i]), expected[i], bound);
    return Check(false, text, __FILE__, __LINE__);
  }
  return Check(true, what, __FILE__, __LINE__);
}

}  // namespace ptq_test

#endif  // PTQ_TEST_SUPPORT_COMPARE_H_
