// Elementwise kernels for AVX2; int8: 32 elements at a time.
#include <immintrin.h>

#include "kernels/elementwise/int8_rows.h"
#include "kernels/elementwise/plain.h"
#include "numerics/requantize_avx2.h"

namespace ptq {
namespace {

// x less its zero point; floats hold such values, and products of two, exactly.
PTQ_INLINE __m256 LoadCentered(const int8_t* x, __m256 zero_point) {
  const __m128i q = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)) - zero_point;
}

// y = f(a, b), quantized; of the operands less their zero points.
template <typename F>
PTQ_INLINE void RowsI8(const BinaryI8Row& row, F f) {
  const __m256 a_zero = _mm256_set1_ps(static_cast<float>(row.a_zero_point)),
               b_zero = _mm256_set1_ps(static_cast<float>(row.b_zero_point));
  const Avx2Range range = MakeAvx2Range(row.range);
  const auto apply = [&](const int8_t* a, const int8_t* b,
                         int8_t* y) __attribute__((always_inline)) {
    __m256 x[4];
    for (size_t i = 0; i < 4; ++i)
      x[i] = f(LoadCentered(a + 8 * i, a_zero), LoadCentered(b + 8 * i, b_zero));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), QuantizeX32(x[0], x[1], x[2], x[3], range));
  };
  WalkRow<32>(row, apply);
}

}  // namespace

void add_f32_x16__avx2(const BinaryF32Row& row) { AddF32(row); }

void sub_f32_x16__avx2(const BinaryF32Row& row) { SubF32(row); }

void mul_f32_x16__avx2(const BinaryF32Row& row) { MulF32(row); }

void div_f32_x16__avx2(const BinaryF32Row& row) { DivF32(row); }

void maximum_f32_x16__avx2(const BinaryF32Row& row) { MaximumF32(row); }

void minimum_f32_x16__avx2(const BinaryF32Row& row) { MinimumF32(row); }

void clamp_f32_x16__avx2(const float* x, float* y, size_t count, float lo, float hi) {
  ClampF32(x, y, count, lo, hi);
}

void add_i8_x32__avx2(const BinaryI8Row& row) {
  const __m256 ma = _mm256_set1_ps(row.a_multiplier), mb = _mm256_set1_ps(row.b_multiplier);
  RowsI8(row, [=](__m256 a, __m256 b) __attribute__((always_inline)) { return a * ma + b * mb; });
}

void sub_i8_x32__avx2(const BinaryI8Row& row) {
  const __m256 ma = _mm256_set1_ps(row.a_multiplier), mb = _mm256_set1_ps(row.b_multiplier);
  RowsI8(row, [=](__m256 a, __m256 b) __attribute__((always_inline)) { return a * ma - b * mb; });
}

void mul_i8_x32__avx2(const BinaryI8Row& row) {
  const __m256 m = _mm256_set1_ps(row.a_multiplier);
  RowsI8(row, [=](__m256 a, __m256 b) __attribute__((always_inline)) { return (a * b) * m; });
}

}  // namespace ptq
