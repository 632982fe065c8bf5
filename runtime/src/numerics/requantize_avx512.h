// The requantization rule of requantize.h for AVX-512 vectors, bit for bit. Make the constants once
// outside of loops by MakeAvx512Range. The more results at a time, the fewer instructions for each:
// 8, 7 and 5.75 per 16.
#ifndef PTQ_NUMERICS_REQUANTIZE_AVX512_H_
#define PTQ_NUMERICS_REQUANTIZE_AVX512_H_

#include <immintrin.h>

#include "base/math.h"
#include "numerics/requantize.h"

namespace ptq {

struct Avx512Range {
  __m512 lo, hi;         // q_min - zero_point, q_max - zero_point
  __m512i zero_point32;  // int32
  __m512i zero_point16;  // int16
  __m512i q_min;         // int8
};

PTQ_INLINE Avx512Range MakeAvx512Range(const OutputRange& range) {
  return {_mm512_set1_ps(range.lo), _mm512_set1_ps(range.hi), _mm512_set1_epi32(range.zero_point),
          _mm512_set1_epi16(static_cast<int16_t>(range.zero_point)),
          _mm512_set1_epi8(static_cast<char>(static_cast<int32_t>(range.lo) + range.zero_point))};
}

// rne(x), at most q_max - zero_point. What is too low for an int32, and NaN, converts to the lowest
// int32, which saturates to the lower bound; what is too high would too, hence the minimum, whose
// operand order lets a NaN pass.
PTQ_INLINE __m512i RoundX16(__m512 x, const Avx512Range& range) {
  return _mm512_cvtps_epi32(_mm512_min_ps(range.hi, x));
}

// QuantizeToRange of 16, 32 and 64 floats.
PTQ_INLINE __m128i QuantizeX16(__m512 x, const Avx512Range& range) {
  // Both bounds before rounding: cheaper than two saturating steps for so few results. The operand
  // order turns NaN into lo.
  const __m512i q = RoundX16(_mm512_max_ps(x, range.lo), range);
  return _mm512_cvtepi32_epi8(_mm512_add_epi32(q, range.zero_point32));
}

// What RoundX16 gave, with the zero point added, as int16.
PTQ_INLINE __m512i PackWordsX32(__m512i q0, __m512i q1, const Avx512Range& range) {
  return _mm512_adds_epi16(_mm512_packs_epi32(q0, q1), range.zero_point16);
}

PTQ_INLINE __m512i WordsX32(__m512 x0, __m512 x1, const Avx512Range& range) {
  return PackWordsX32(RoundX16(x0, range), RoundX16(x1, range), range);
}

// Packing works on quarters of registers, so what comes out is put in order, 4 bytes at a time.
PTQ_INLINE __m256i QuantizeX32(__m512 x0, __m512 x1, const Avx512Range& range) {
  const __m256i bytes = _mm512_cvtsepi16_epi8(WordsX32(x0, x1, range));
  return _mm256_permutevar8x32_epi32(_mm256_max_epi8(bytes, _mm512_castsi512_si256(range.q_min)),
                                     _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}

PTQ_INLINE __m512i PackX64(__m512i q0, __m512i q1, __m512i q2, __m512i q3,
                           const Avx512Range& range) {
  const __m512i bytes =
      _mm512_packs_epi16(PackWordsX32(q0, q1, range), PackWordsX32(q2, q3, range));
  return _mm512_permutexvar_epi32(
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
      _mm512_max_epi8(bytes, range.q_min));
}

PTQ_INLINE __m512i QuantizeX64(__m512 x0, __m512 x1, __m512 x2, __m512 x3,
                               const Avx512Range& range) {
  return PackX64(RoundX16(x0, range), RoundX16(x1, range), RoundX16(x2, range), RoundX16(x3, range),
                 range);
}

// Requantize of 16, 32 and 64 accumulators; multipliers are finite.
PTQ_INLINE __m512 ScaleX16(__m512i accumulator, __m512 multiplier) {
  return _mm512_mul_ps(_mm512_cvtepi32_ps(accumulator), multiplier);
}

PTQ_INLINE __m128i RequantizeX16(__m512i a, __m512 m, const Avx512Range& range) {
  return QuantizeX16(ScaleX16(a, m), range);
}

PTQ_INLINE __m256i RequantizeX32(__m512i a0, __m512i a1, __m512 m0, __m512 m1,
                                 const Avx512Range& range) {
  return QuantizeX32(ScaleX16(a0, m0), ScaleX16(a1, m1), range);
}

PTQ_INLINE __m512i RequantizeX64(__m512i a0, __m512i a1, __m512i a2, __m512i a3, __m512 m0,
                                 __m512 m1, __m512 m2, __m512 m3, const Avx512Range& range) {
  return QuantizeX64(ScaleX16(a0, m0), ScaleX16(a1, m1), ScaleX16(a2, m2), ScaleX16(a3, m3), range);
}

}  // namespace ptq

#endif  // PTQ_NUMERICS_REQUANTIZE_AVX512_H_
