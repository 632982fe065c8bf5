// Conversion kernels for AVX-512: 64 elements at a time.
#include <immintrin.h>

#include "kernels/convert/plain.h"
#include "kernels/convert/steps.h"
#include "numerics/requantize_avx512.h"

namespace ptq {

void quantize_f32_x64__avx512vnni(const float* x, int8_t* y, size_t count, float scale,
                                  const OutputRange& range) {
  const Avx512Range avx512 = MakeAvx512Range(range);
  const __m512 divisor = _mm512_set1_ps(scale);
  ForSteps<64>(x, y, count, [&](const float* from, int8_t* to) __attribute__((always_inline)) {
    _mm512_storeu_si512(to,
                        QuantizeX64(_mm512_div_ps(_mm512_loadu_ps(from), divisor),
                                    _mm512_div_ps(_mm512_loadu_ps(from + 16), divisor),
                                    _mm512_div_ps(_mm512_loadu_ps(from + 32), divisor),
                                    _mm512_div_ps(_mm512_loadu_ps(from + 48), divisor), avx512));
  });
}

void dequantize_i8_x64__avx512vnni(const int8_t* x, float* y, size_t count, float scale,
                                   int32_t zero_point) {
  Dequantize(x, y, count, scale, zero_point);
}

}  // namespace ptq
