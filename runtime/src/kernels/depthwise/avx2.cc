// Depthwise kernels for AVX2. Int8: vpmaddwd sums two neighbouring words.
#include <immintrin.h>

#include "base/math.h"
#include "kernels/depthwise/contract.h"
#include "kernels/depthwise/float_strip.h"
#include "kernels/depthwise/int8_strip.h"
#include "numerics/requantize_avx2.h"

namespace ptq {
namespace {

struct F32 {
  using Element = float;
  using Vector = __m256;
  static constexpr size_t kLanes = 8;

  static PTQ_INLINE Vector Load(const float* p) { return _mm256_loadu_ps(p); }
  static PTQ_INLINE void Store(float* p, Vector v) { _mm256_storeu_ps(p, v); }
  static PTQ_INLINE void StoreFirst(float* p, size_t count, Vector v) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane), v);
  }
  static PTQ_INLINE Vector Splat(float value) { return _mm256_set1_ps(value); }
  static PTQ_INLINE Vector MultiplyAdd(Vector a, Vector b, Vector sum) {
    return _mm256_fmadd_ps(a, b, sum);
  }
  static PTQ_INLINE Vector Clamp(Vector v, Vector lo, Vector hi) {
    return _mm256_min_ps(hi, _mm256_max_ps(lo, v));
  }
  static PTQ_INLINE void Prefetch(const float* p) { __builtin_prefetch(p); }
};

struct I8 {
  using Vector = __m256i;
  using Real = __m256;
  using Word = int16_t;
  using Range = Avx2Range;
  static constexpr size_t kChannels = 16, kParts = 2;

  static PTQ_INLINE Vector LoadPixels(const int8_t* const (&x)[1]) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x[0])));
  }
  template <size_t kPixels>
  static PTQ_INLINE Vector LoadRepeated(const int8_t* p) {
    static_assert(kPixels == 1, "blocks of 16 channels fill a vector");
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  template <size_t kPixels, typename T>
  static PTQ_INLINE Vector LoadChannels(const T* p, size_t part) {
    return _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(p + 8 + 4 * part),
                               reinterpret_cast<const __m128i*>(p + 4 * part));
  }

  static PTQ_INLINE Vector UnpackLow(Vector a, Vector b) { return _mm256_unpacklo_epi16(a, b); }
  static PTQ_INLINE Vector UnpackHigh(Vector a, Vector b) { return _mm256_unpackhi_epi16(a, b); }
  static PTQ_INLINE Vector MultiplyAdd(Vector sum, Vector words, Vector weights) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(words, weights));
  }

  static PTQ_INLINE Range MakeRange(const OutputRange& range) { return MakeAvx2Range(range); }
  static PTQ_INLINE Real Scale(Vector sum, Real multiplier) { return ScaleX8(sum, multiplier); }
  static PTQ_INLINE Real Splat(float value) { return F32::Splat(value); }
  static PTQ_INLINE Real Clamp(Real v, Real lo, Real hi) { return F32::Clamp(v, lo, hi); }
  static PTQ_INLINE void StoreReal(float* p, Real v) { _mm256_storeu_ps(p, v); }

  // Packing undoes what unpacking did to the order.
  static PTQ_INLINE void StoreQuantized(int8_t* const (&y)[1], size_t count,
                                        const Real (&real)[kParts], const Range& range) {
    const __m256i words = _mm256_adds_epi16(
        _mm256_packs_epi32(RoundX8(real[0], range), RoundX8(real[1], range)), range.zero_point);
    const __m128i q = _mm_max_epi8(
        _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)),
        _mm256_castsi256_si128(range.q_min));
    if (count == kChannels) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y[0]), q);
    } else {
      int8_t values[kChannels];
      _mm_storeu_si128(reinterpret_cast<__m128i*>(values), q);
      CopyBytes(values, count, y[0]);
    }
  }
};

}  // namespace

void depthwise_f32_3x3s1__avx2(const DepthwiseF32Row& row) { SquareRow<F32, 3, 1, 1>(row); }

void depthwise_f32_3x3s2__avx2(const DepthwiseF32Row& row) { SquareRow<F32, 3, 2, 1>(row); }

void depthwise_f32_5x5s1__avx2(const DepthwiseF32Row& row) { SquareRow<F32, 5, 1, 1>(row); }

void depthwise_f32_5x5s2__avx2(const DepthwiseF32Row& row) { SquareRow<F32, 5, 2, 1>(row); }

void depthwise_f32_1x32__avx2(const DepthwiseF32Row& row) { AnyRow<F32>(row); }

void depthwise_i8_3x3s1__avx2(const DepthwiseI8Row& row) { SquareRowI8<I8, 3, 1>(row); }

void depthwise_i8_3x3s2__avx2(const DepthwiseI8Row& row) { SquareRowI8<I8, 3, 2>(row); }

void depthwise_i8_5x5s1__avx2(const DepthwiseI8Row& row) { SquareRowI8<I8, 5, 1>(row); }

void depthwise_i8_5x5s2__avx2(const DepthwiseI8Row& row) { SquareRowI8<I8, 5, 2>(row); }

void depthwise_i8_1x16__avx2(const DepthwiseI8Row& row) { AnyRowI8<I8>(row); }

}  // namespace ptq
