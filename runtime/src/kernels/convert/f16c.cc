// Conversions of half precision by the F16C instructions.
#include <immintrin.h>

#include "kernels/convert/contract.h"
#include "kernels/convert/steps.h"

namespace ptq {

void to_half_f32_x8__f16c(const float* x, Half* y, size_t count) {
  ForSteps<8>(x, y, count, [](const float* from, Half* to) __attribute__((always_inline)) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                     _mm256_cvtps_ph(_mm256_loadu_ps(from), _MM_FROUND_TO_NEAREST_INT));
  });
}

void to_float_f16_x8__f16c(const Half* x, float* y, size_t count) {
  ForSteps<8>(x, y, count, [](const Half* from, float* to) __attribute__((always_inline)) {
    _mm256_storeu_ps(to, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
  });
}

}  // namespace ptq
