// Conversion kernels for AVX2: 32 elements at a time.
#include <immintrin.h>

#include "kernels/convert/plain.h"
#include "kernels/convert/reciprocal.h"
#include "kernels/convert/steps.h"
#include "numerics/requantize_avx2.h"

namespace ptq {

void quantize_f32_x32__avx2(const float* x, int8_t* y, size_t count, float scale,
                            const OutputRange& range) {
  const Avx2Range avx2 = MakeAvx2Range(range);
  const __m256 divisor = _mm256_set1_ps(scale), reciprocal = _mm256_set1_ps(SureReciprocal(scale));
  const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF),
                sure = _mm256_castps_si256(_mm256_set1_ps(kSureDistance));
  ForSteps<32>(x, y, count, [&](const float* from, int8_t* to) __attribute__((always_inline)) {
    // The largest distance to an integer; as bits, so that a NaN is larger than all.
    __m256i q[4], worst = _mm256_setzero_si256();
    for (size_t i = 0; i < 4; ++i) {
      const __m256 product = _mm256_min_ps(avx2.hi, _mm256_loadu_ps(from + 8 * i) * reciprocal);
      q[i] = _mm256_cvtps_epi32(product);
      const __m256 distance = product - _mm256_cvtepi32_ps(q[i]);
      worst = _mm256_max_epu32(worst, _mm256_and_si256(_mm256_castps_si256(distance), magnitude));
    }
    if (_mm256_movemask_epi8(_mm256_cmpgt_epi32(worst, sure)) != 0) {
      for (size_t i = 0; i < 4; ++i) q[i] = RoundX8(_mm256_loadu_ps(from + 8 * i) / divisor, avx2);
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), PackX32(q[0], q[1], q[2], q[3], avx2));
  });
}

void dequantize_i8_x32__avx2(const int8_t* x, float* y, size_t count, float scale,
                             int32_t zero_point) {
  Dequantize(x, y, count, scale, zero_point);
}

// vpshufb looks up 4 bits in a part of 16 values, and gives 0 for a negative index. Part i of each
// half of the table is stored as its difference (exclusive or) to part i - 1: an index i * 16 + j,
// less 16 for every part, is negative only after part i, and the differences up to there make the
// value.
void lookup_i8_x32__avx2(const int8_t* x, int8_t* y, size_t count, const int8_t* table) {
  __m256i parts[16], previous = _mm256_setzero_si256();
  for (size_t i = 0; i < 16; ++i) {
    const __m256i part = _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * i)));
    parts[i] = i == 8 ? part : _mm256_xor_si256(part, previous);
    previous = part;
  }
  const __m256i step = _mm256_set1_epi8(16);
  ForSteps<32>(x, y, count, [&](const int8_t* from, int8_t* to) __attribute__((always_inline)) {
    // The upper half holds x >= 0, the lower one x < 0 at x + 128. Subtraction saturates, so that
    // an index of the other half stays negative.
    __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    __m256i low = _mm256_xor_si256(high, _mm256_set1_epi8(-128));
    __m256i value =
        _mm256_xor_si256(_mm256_shuffle_epi8(parts[0], low), _mm256_shuffle_epi8(parts[8], high));
#pragma GCC unroll 8
    for (size_t i = 1; i < 8; ++i) {
      low = _mm256_subs_epi8(low, step);
      high = _mm256_subs_epi8(high, step);
      value = _mm256_xor_si256(value, _mm256_xor_si256(_mm256_shuffle_epi8(parts[i], low),
                                                       _mm256_shuffle_epi8(parts[i + 8], high)));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  });
}

}  // namespace ptq
