// Conversion kernels for AVX-512: 64 elements at a time.
#include <immintrin.h>

#include "kernels/convert/contract.h"
#include "kernels/convert/reciprocal.h"
#include "kernels/convert/steps.h"
#include "numerics/requantize_avx512.h"

namespace ptq {

void quantize_f32_x64__avx512vnni(const float* x, int8_t* y, size_t count, float scale,
                                  const OutputRange& range) {
  const Avx512Range avx512 = MakeAvx512Range(range);
  const __m512 divisor = _mm512_set1_ps(scale), reciprocal = _mm512_set1_ps(SureReciprocal(scale));
  const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF),
                sure = _mm512_castps_si512(_mm512_set1_ps(kSureDistance));
  ForSteps<64>(x, y, count, [&](const float* from, int8_t* to) __attribute__((always_inline)) {
    // The largest distance to an integer; as bits, so that a NaN is larger than all.
    __m512i q[4], worst = _mm512_setzero_si512();
    for (size_t i = 0; i < 4; ++i) {
      const __m512 product = _mm512_min_ps(avx512.hi, _mm512_loadu_ps(from + 16 * i) * reciprocal);
      q[i] = _mm512_cvtps_epi32(product);
      const __m512 distance = product - _mm512_cvtepi32_ps(q[i]);
      worst = _mm512_max_epu32(worst, _mm512_and_si512(_mm512_castps_si512(distance), magnitude));
    }
    if (_mm512_cmpgt_epu32_mask(worst, sure) != 0) {
      for (size_t i = 0; i < 4; ++i)
        q[i] = RoundX16(_mm512_loadu_ps(from + 16 * i) / divisor, avx512);
    }
    _mm512_storeu_si512(to, PackX64(q[0], q[1], q[2], q[3], avx512));
  });
}

void dequantize_i8_x64__avx512vnni(const int8_t* x, float* y, size_t count, float scale,
                                   int32_t zero_point) {
  const __m512 factor = _mm512_set1_ps(scale);
  const __m512i zero = _mm512_set1_epi32(zero_point);
  ForSteps<64>(x, y, count, [&](const int8_t* from, float* to) __attribute__((always_inline)) {
    for (size_t i = 0; i < 64; i += 16) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
      const __m512i q = _mm512_sub_epi32(_mm512_cvtepi8_epi32(bytes), zero);
      _mm512_storeu_ps(to + i, _mm512_cvtepi32_ps(q) * factor);
    }
  });
}

}  // namespace ptq
