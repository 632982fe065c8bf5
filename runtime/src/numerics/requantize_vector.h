// The requantization rule of requantize.h for the compiler's vectors of any length, bit for bit:
// for kernels that are one text for all instruction sets.
#ifndef PTQ_NUMERICS_REQUANTIZE_VECTOR_H_
#define PTQ_NUMERICS_REQUANTIZE_VECTOR_H_

#include "base/math.h"
#include "numerics/requantize.h"

namespace ptq {

// Requantize of vectors of N lanes: Int8, Int32 and Float are vectors of int8_t, int32_t and float.
template <typename Int8, typename Float, typename Int32>
PTQ_INLINE Int8 RequantizeVector(Int32 accumulator, float multiplier, const OutputRange& range) {
  Float x = __builtin_convertvector(accumulator, Float) * multiplier;
  const Float lo = range.lo - Float{}, hi = range.hi - Float{};
  x = x > lo ? x : lo;
  x = x < hi ? x : hi;
  const Int32 rounded = reinterpret_cast<Int32>(x + 12582912.0f);  // as RoundHalfEven
  return __builtin_convertvector(rounded - 0x4B400000 + range.zero_point, Int8);
}

}  // namespace ptq

#endif  // PTQ_NUMERICS_REQUANTIZE_VECTOR_H_
