// The rounding and requantization rules of docs/numerics.md; the only place of the runtime that
// rounds a float.
#ifndef PTQ_NUMERICS_REQUANTIZE_H_
#define PTQ_NUMERICS_REQUANTIZE_H_

#include <stdint.h>
#include <string.h>

#include "base/math.h"

namespace ptq {

// Round half to even for |x| <= 2^22: adding 1.5 * 2^23 leaves no fraction bits in the sum, so the
// FPU's own rounding (to nearest even) does it, and the integer lies in the low mantissa bits.
// Unlike rintf it vectorises on every target.
PTQ_INLINE int32_t RoundHalfEven(float x) {
  const float shifted = x + 12582912.0f;
  int32_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  return bits - 0x4B400000;
}

// The range of an i8 output: zero point and clamp bounds, kept both as floats relative to the zero
// point and as integers.
struct OutputRange {
  int32_t zero_point;
  float lo, hi;  // q_min - zero_point, q_max - zero_point: exact, |.| <= 255
};

PTQ_INLINE OutputRange MakeOutputRange(int32_t zero_point, int32_t q_min, int32_t q_max) {
  return {zero_point, static_cast<float>(q_min - zero_point),
          static_cast<float>(q_max - zero_point)};
}

// sat(rne(x) + zero_point, q_min, q_max). Clamping before rounding gives the same result, since the
// bounds are integers, and keeps x in the range that RoundHalfEven and the conversion to an integer
// accept, for +-inf as well. NaN (refused by the contract) becomes the lower bound.
PTQ_INLINE int8_t QuantizeToRange(float x, const OutputRange& range) {
  x = x > range.lo ? x : range.lo;
  x = x < range.hi ? x : range.hi;
  return static_cast<int8_t>(RoundHalfEven(x) + range.zero_point);
}

PTQ_INLINE int8_t Requantize(int32_t accumulator, float multiplier, const OutputRange& range) {
  return QuantizeToRange(static_cast<float>(accumulator) * multiplier, range);
}

}  // namespace ptq

#endif  // PTQ_NUMERICS_REQUANTIZE_H_
