// Elementwise kernels for AVX-512; int8: 64 elements at a time.
#include <immintrin.h>
#include <string.h>

#include "kernels/elementwise/plain.h"
#include "numerics/requantize_avx512.h"

namespace ptq {
namespace {

// 16 values of which the mask has some, less their zero point; floats hold such values, and
// products of two, exactly.
PTQ_INLINE __m512 LoadCentered(const int8_t* x, uint64_t mask, __m512 zero_point) {
  const __m128i q = _mm_maskz_loadu_epi8(static_cast<__mmask16>(mask), x);
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q)) - zero_point;
}

// y = f(a, b), quantized; of the operands less their zero points. An operand of one value is
// repeated, the last elements are masked.
template <typename F>
PTQ_INLINE void RowsI8(const BinaryI8Row& row, F f) {
  constexpr size_t kStep = 64;
  const __m512 a_zero = _mm512_set1_ps(static_cast<float>(row.a_zero_point)),
               b_zero = _mm512_set1_ps(static_cast<float>(row.b_zero_point));
  const Avx512Range range = MakeAvx512Range(row.range);
  int8_t a_repeated[kStep], b_repeated[kStep];
  if (row.a_step == 0) memset(a_repeated, row.a[0], kStep);
  if (row.b_step == 0) memset(b_repeated, row.b[0], kStep);
  const int8_t *a = row.a_step == 0 ? a_repeated : row.a, *b = row.b_step == 0 ? b_repeated : row.b;
  const size_t a_advance = row.a_step * kStep, b_advance = row.b_step * kStep;
  int8_t* y = row.y;
  size_t left = row.count;
  const auto apply = [&](uint64_t mask) __attribute__((always_inline)) {
    __m512 x[4];
    for (size_t i = 0; i < 4; ++i) {
      x[i] = f(LoadCentered(a + 16 * i, mask >> 16 * i, a_zero),
               LoadCentered(b + 16 * i, mask >> 16 * i, b_zero));
    }
    _mm512_mask_storeu_epi8(y, mask, QuantizeX64(x[0], x[1], x[2], x[3], range));
  };
  for (; left >= kStep; left -= kStep, a += a_advance, b += b_advance, y += kStep)
    apply(~uint64_t{0});
  if (left != 0) apply((uint64_t{1} << left) - 1);
}

}  // namespace

void add_f32_x32__avx512vnni(const BinaryF32Row& row) { AddF32(row); }

void sub_f32_x32__avx512vnni(const BinaryF32Row& row) { SubF32(row); }

void mul_f32_x32__avx512vnni(const BinaryF32Row& row) { MulF32(row); }

void div_f32_x32__avx512vnni(const BinaryF32Row& row) { DivF32(row); }

void maximum_f32_x32__avx512vnni(const BinaryF32Row& row) { MaximumF32(row); }

void minimum_f32_x32__avx512vnni(const BinaryF32Row& row) { MinimumF32(row); }

void clamp_f32_x32__avx512vnni(const float* x, float* y, size_t count, float lo, float hi) {
  ClampF32(x, y, count, lo, hi);
}

void add_i8_x64__avx512vnni(const BinaryI8Row& row) {
  const __m512 ma = _mm512_set1_ps(row.a_multiplier), mb = _mm512_set1_ps(row.b_multiplier);
  RowsI8(row, [=](__m512 a, __m512 b) __attribute__((always_inline)) { return a * ma + b * mb; });
}

void sub_i8_x64__avx512vnni(const BinaryI8Row& row) {
  const __m512 ma = _mm512_set1_ps(row.a_multiplier), mb = _mm512_set1_ps(row.b_multiplier);
  RowsI8(row, [=](__m512 a, __m512 b) __attribute__((always_inline)) { return a * ma - b * mb; });
}

void mul_i8_x64__avx512vnni(const BinaryI8Row& row) {
  const __m512 m = _mm512_set1_ps(row.a_multiplier);
  RowsI8(row, [=](__m512 a, __m512 b) __attribute__((always_inline)) { return (a * b) * m; });
}

}  // namespace ptq
