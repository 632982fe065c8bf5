// The requantization rule of requantize.h for AVX2 vectors, bit for bit. Make the constants once
// outside of loops by MakeAvx2Range.
#ifndef PTQ_NUMERICS_REQUANTIZE_AVX2_H_
#define PTQ_NUMERICS_REQUANTIZE_AVX2_H_

#include <immintrin.h>

#include "base/math.h"
#include "numerics/requantize.h"

namespace ptq {

struct Avx2Range {
  __m256 hi;           // q_max - zero_point
  __m256i zero_point;  // int16
  __m256i q_min;       // int8
};

PTQ_INLINE Avx2Range MakeAvx2Range(const OutputRange& range) {
  return {_mm256_set1_ps(range.hi), _mm256_set1_epi16(static_cast<int16_t>(range.zero_point)),
          _mm256_set1_epi8(static_cast<char>(static_cast<int32_t>(range.lo) + range.zero_point))};
}

// rne(x), at most q_max - zero_point. What is too low for an int32, and NaN, converts to the lowest
// int32, which saturates to the lower bound; what is too high would too, hence the minimum, whose
// operand order lets a NaN pass.
PTQ_INLINE __m256i RoundX8(__m256 x, const Avx2Range& range) {
  return _mm256_cvtps_epi32(_mm256_min_ps(range.hi, x));
}

// QuantizeToRange of 8 (in the low half of the result), 16 and 32 floats.
PTQ_INLINE __m128i QuantizeX8(__m256 x, const Avx2Range& range) {
  const __m256i q = RoundX8(x, range);
  __m128i narrow = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
  narrow = _mm_adds_epi16(narrow, _mm256_castsi256_si128(range.zero_point));
  return _mm_max_epi8(_mm_packs_epi16(narrow, narrow), _mm256_castsi256_si128(range.q_min));
}

PTQ_INLINE __m128i QuantizeX16(__m256 x0, __m256 x1, const Avx2Range& range) {
  // Packing works on halves of registers: words of x0 x1 | x0 x1, put in order as bytes.
  const __m256i words = _mm256_adds_epi16(
      _mm256_packs_epi32(RoundX8(x0, range), RoundX8(x1, range)), range.zero_point);
  const __m128i bytes =
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  return _mm_max_epi8(_mm_shuffle_epi32(bytes, _MM_SHUFFLE(3, 1, 2, 0)),
                      _mm256_castsi256_si128(range.q_min));
}

// What RoundX8 gave, with the zero point added, as int8.
PTQ_INLINE __m256i PackX32(__m256i q0, __m256i q1, __m256i q2, __m256i q3, const Avx2Range& range) {
  const __m256i words0 = _mm256_adds_epi16(_mm256_packs_epi32(q0, q1), range.zero_point);
  const __m256i words1 = _mm256_adds_epi16(_mm256_packs_epi32(q2, q3), range.zero_point);
  const __m256i bytes = _mm256_max_epi8(_mm256_packs_epi16(words0, words1), range.q_min);
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

PTQ_INLINE __m256i QuantizeX32(__m256 x0, __m256 x1, __m256 x2, __m256 x3, const Avx2Range& range) {
  return PackX32(RoundX8(x0, range), RoundX8(x1, range), RoundX8(x2, range), RoundX8(x3, range),
                 range);
}

// Requantize of 8 (in the low half of the result), 16 and 32 accumulators; multipliers are finite.
PTQ_INLINE __m256 ScaleX8(__m256i accumulator, __m256 multiplier) {
  return _mm256_mul_ps(_mm256_cvtepi32_ps(accumulator), multiplier);
}

PTQ_INLINE __m128i RequantizeX8(__m256i a, __m256 m, const Avx2Range& range) {
  return QuantizeX8(ScaleX8(a, m), range);
}

PTQ_INLINE __m128i RequantizeX16(__m256i a0, __m256i a1, __m256 m0, __m256 m1,
                                 const Avx2Range& range) {
  return QuantizeX16(ScaleX8(a0, m0), ScaleX8(a1, m1), range);
}

PTQ_INLINE __m256i RequantizeX32(__m256i a0, __m256i a1, __m256i a2, __m256i a3, __m256 m0,
                                 __m256 m1, __m256 m2, __m256 m3, const Avx2Range& range) {
  return QuantizeX32(ScaleX8(a0, m0), ScaleX8(a1, m1), ScaleX8(a2, m2), ScaleX8(a3, m3), range);
}

}  // namespace ptq

#endif  // PTQ_NUMERICS_REQUANTIZE_AVX2_H_
