// Depthwise kernels for AVX-512 with VNNI. Int8: vpdpbusd sums four neighbouring bytes.
#include <immintrin.h>

#include "base/math.h"
#include "kernels/depthwise/contract.h"
#include "kernels/depthwise/float_strip.h"
#include "kernels/depthwise/int8_strip.h"
#include "numerics/requantize_avx512.h"

namespace ptq {
namespace {

struct F32 {
  using Element = float;
  using Vector = __m512;
  static constexpr size_t kLanes = 16;

  static PTQ_INLINE Vector Load(const float* p) { return _mm512_loadu_ps(p); }
  static PTQ_INLINE void Store(float* p, Vector v) { _mm512_storeu_ps(p, v); }
  static PTQ_INLINE void StoreFirst(float* p, size_t count, Vector v) {
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), v);
  }
  static PTQ_INLINE Vector Splat(float value) { return _mm512_set1_ps(value); }
  static PTQ_INLINE Vector MultiplyAdd(Vector a, Vector b, Vector sum) {
    return _mm512_fmadd_ps(a, b, sum);
  }
  static PTQ_INLINE Vector Clamp(Vector v, Vector lo, Vector hi) {
    return _mm512_min_ps(hi, _mm512_max_ps(lo, v));
  }
  static PTQ_INLINE void Prefetch(const float* p) { __builtin_prefetch(p); }
};

struct I8 {
  using Vector = __m512i;
  using Real = __m512;
  using Word = int8_t;
  using Range = Avx512Range;
  static constexpr size_t kChannels = 64, kParts = 4;

  static PTQ_INLINE __m128i Load128(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
  }
  static PTQ_INLINE __m256i Load256(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
  static PTQ_INLINE Vector Join(__m256i low, __m256i high) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
  static PTQ_INLINE Vector Join(__m128i a, __m128i b, __m128i c, __m128i d) {
    return Join(_mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1),
                _mm256_inserti128_si256(_mm256_castsi128_si256(c), d, 1));
  }

  // x + 128 is x with its sign bit flipped: vpdpbusd wants one factor unsigned.
  static PTQ_INLINE Vector Unsigned(Vector x) {
    return _mm512_xor_si512(x, _mm512_set1_epi8(static_cast<char>(0x80)));
  }
  static PTQ_INLINE Vector LoadPixels(const int8_t* const (&x)[1]) {
    return Unsigned(_mm512_loadu_si512(x[0]));
  }
  static PTQ_INLINE Vector LoadPixels(const int8_t* const (&x)[2]) {
    return Unsigned(Join(Load256(x[0]), Load256(x[1])));
  }
  static PTQ_INLINE Vector LoadPixels(const int8_t* const (&x)[4]) {
    return Unsigned(Join(Load128(x[0]), Load128(x[1]), Load128(x[2]), Load128(x[3])));
  }

  template <size_t kPixels>
  static PTQ_INLINE Vector LoadRepeated(const int8_t* p) {
    if constexpr (kPixels == 1) {
      return _mm512_loadu_si512(p);
    } else if constexpr (kPixels == 2) {
      return _mm512_broadcast_i64x4(Load256(p));
    } else {
      return _mm512_broadcast_i32x4(Load128(p));
    }
  }

  template <size_t kPixels, typename T>
  static PTQ_INLINE Vector LoadChannels(const T* p, size_t part) {
    const auto lane = [&](size_t i) __attribute__((always_inline)) {
      return Load128(p + 16 * (i % (4 / kPixels)) + 4 * part);
    };
    return Join(lane(0), lane(1), lane(2), lane(3));
  }

  static PTQ_INLINE Vector UnpackLow(Vector a, Vector b) { return _mm512_unpacklo_epi8(a, b); }
  static PTQ_INLINE Vector UnpackHigh(Vector a, Vector b) { return _mm512_unpackhi_epi8(a, b); }
  static PTQ_INLINE Vector UnpackLow16(Vector a, Vector b) { return _mm512_unpacklo_epi16(a, b); }
  static PTQ_INLINE Vector UnpackHigh16(Vector a, Vector b) { return _mm512_unpackhi_epi16(a, b); }
  static PTQ_INLINE Vector MultiplyAdd(Vector sum, Vector words, Vector weights) {
    return _mm512_dpbusd_epi32(sum, words, weights);
  }

  static PTQ_INLINE Range MakeRange(const OutputRange& range) { return MakeAvx512Range(range); }
  static PTQ_INLINE Real Scale(Vector sum, Real multiplier) { return ScaleX16(sum, multiplier); }
  static PTQ_INLINE Real Splat(float value) { return F32::Splat(value); }
  static PTQ_INLINE Real Clamp(Real v, Real lo, Real hi) { return F32::Clamp(v, lo, hi); }
  static PTQ_INLINE void StoreReal(float* p, Real v) { _mm512_storeu_ps(p, v); }

  // Packing undoes what unpacking did to the order.
  static PTQ_INLINE Vector Quantize(const Real (&real)[kParts], const Range& range) {
    return _mm512_max_epi8(
        _mm512_packs_epi16(WordsX32(real[0], real[1], range), WordsX32(real[2], real[3], range)),
        range.q_min);
  }
  static PTQ_INLINE void StoreQuantized(int8_t* const (&y)[1], size_t count,
                                        const Real (&real)[kParts], const Range& range) {
    _mm512_mask_storeu_epi8(y[0], ~__mmask64{0} >> (64 - count), Quantize(real, range));
  }
  static PTQ_INLINE void StoreQuantized(int8_t* const (&y)[2], size_t count,
                                        const Real (&real)[kParts], const Range& range) {
    const Vector q = Quantize(real, range);
    const __mmask32 valid = ~__mmask32{0} >> (32 - count);
    _mm256_mask_storeu_epi8(y[0], valid, _mm512_castsi512_si256(q));
    _mm256_mask_storeu_epi8(y[1], valid, _mm512_extracti64x4_epi64(q, 1));
  }
  static PTQ_INLINE void StoreQuantized(int8_t* const (&y)[4], size_t count,
                                        const Real (&real)[kParts], const Range& range) {
    const Vector q = Quantize(real, range);
    const __mmask16 valid = static_cast<__mmask16>(0xffff >> (16 - count));
    _mm_mask_storeu_epi8(y[0], valid, _mm512_castsi512_si128(q));
    _mm_mask_storeu_epi8(y[1], valid, _mm512_extracti32x4_epi32(q, 1));
    _mm_mask_storeu_epi8(y[2], valid, _mm512_extracti32x4_epi32(q, 2));
    _mm_mask_storeu_epi8(y[3], valid, _mm512_extracti32x4_epi32(q, 3));
  }
};

}  // namespace

void depthwise_f32_3x3s1__avx512vnni(const DepthwiseF32Row& row) { SquareRow<F32, 3, 1, 2>(row); }

void depthwise_f32_3x3s2__avx512vnni(const DepthwiseF32Row& row) { SquareRow<F32, 3, 2, 2>(row); }

void depthwise_f32_5x5s1__avx512vnni(const DepthwiseF32Row& row) { SquareRow<F32, 5, 1, 1>(row); }

void depthwise_f32_5x5s2__avx512vnni(const DepthwiseF32Row& row) { SquareRow<F32, 5, 2, 1>(row); }

void depthwise_f32_1x64__avx512vnni(const DepthwiseF32Row& row) { AnyRow<F32>(row); }

void depthwise_i8_3x3s1__avx512vnni(const DepthwiseI8Row& row) { SquareRowI8<I8, 3, 1>(row); }

void depthwise_i8_3x3s2__avx512vnni(const DepthwiseI8Row& row) { SquareRowI8<I8, 3, 2>(row); }

void depthwise_i8_5x5s1__avx512vnni(const DepthwiseI8Row& row) { SquareRowI8<I8, 5, 1>(row); }

void depthwise_i8_5x5s2__avx512vnni(const DepthwiseI8Row& row) { SquareRowI8<I8, 5, 2>(row); }

void depthwise_i8_1x64__avx512vnni(const DepthwiseI8Row& row) { AnyRowI8<I8>(row); }

}  // namespace ptq
