// Half precision as it is stored: IEEE binary16, and its conversions by integer arithmetic, the
// same bits on every CPU. Kernels convert whole rows (kernels/convert) or compute in it.
#ifndef PTQ_NUMERICS_HALF_H_
#define PTQ_NUMERICS_HALF_H_

#include <stdint.h>
#include <string.h>

#include "base/math.h"

namespace ptq {

// A number of its own type, so that it is never taken for an integer.
struct Half {
  uint16_t bits;
};

PTQ_INLINE float FloatOfBits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

PTQ_INLINE uint32_t BitsOfFloat(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Exact.
PTQ_INLINE float ToFloat(Half half) {
  const uint32_t sign = (half.bits & 0x8000u) << 16, exponent = half.bits >> 10 & 0x1F,
                 magnitude = half.bits & 0x7FFFu;
  if (exponent == 0) {  // subnormal: steps of 2^-24
    const uint32_t value = BitsOfFloat(static_cast<float>(magnitude) * 0x1p-24f);
    return FloatOfBits(sign | value);
  }
  const uint32_t bias = exponent == 31 ? (255u - 31) << 23 : (127u - 15) << 23;
  return FloatOfBits(sign | ((magnitude << 13) + bias));
}

// To nearest, ties to even; from 65520 on infinity. NaN stays NaN.
PTQ_INLINE Half ToHalf(float value) {
  const uint32_t bits = BitsOfFloat(value), magnitude = bits & 0x7FFFFFFFu;
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  uint32_t half;
  if (magnitude >= 0x47800000u) {  // 2^16 and more
    half = magnitude > 0x7F800000u ? 0x7E00u : 0x7C00u;
  } else if (magnitude < 0x38800000u) {
    // Below 2^-14: floats around 0.5 are as far apart as halves here, 2^-24.
    half = BitsOfFloat(FloatOfBits(magnitude) + 0.5f) - 0x3F000000u;
  } else {
    half = (magnitude - 0x38000000u + 0xFFFu + (magnitude >> 13 & 1)) >> 13;
  }
  return {static_cast<uint16_t>(sign | half)};
}

}  // namespace ptq

#endif  // PTQ_NUMERICS_HALF_H_
