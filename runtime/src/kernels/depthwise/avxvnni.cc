// Depthwise kernels for AVX-VNNI: vpdpbusd on CPUs without AVX-512. Floats: avx2.cc.
#include <immintrin.h>

#include "base/math.h"
#include "kernels/depthwise/contract.h"
#include "kernels/depthwise/int8_strip.h"
#include "numerics/requantize_avx2.h"

namespace ptq {
namespace {

struct I8 {
  using Vector = __m256i;
  using Real = __m256;
  using Word = int8_t;
  using Range = Avx2Range;
  static constexpr size_t kChannels = 32, kParts = 4;

  static PTQ_INLINE __m128i Load128(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
  }
  static PTQ_INLINE Vector Load256(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
  static PTQ_INLINE Vector Join(__m128i low, __m128i high) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
  }

  // x + 128 is x with its sign bit flipped: vpdpbusd wants one factor unsigned.
  static PTQ_INLINE Vector Unsigned(Vector x) {
    return _mm256_xor_si256(x, _mm256_set1_epi8(static_cast<char>(0x80)));
  }
  static PTQ_INLINE Vector LoadPixels(const int8_t* const (&x)[1]) {
    return Unsigned(Load256(x[0]));
  }
  static PTQ_INLINE Vector LoadPixels(const int8_t* const (&x)[2]) {
    return Unsigned(Join(Load128(x[0]), Load128(x[1])));
  }

  template <size_t kPixels>
  static PTQ_INLINE Vector LoadRepeated(const int8_t* p) {
    if constexpr (kPixels == 1) {
      return Load256(p);
    } else {
      return _mm256_broadcastsi128_si256(Load128(p));
    }
  }

  template <size_t kPixels, typename T>
  static PTQ_INLINE Vector LoadChannels(const T* p, size_t part) {
    return Join(Load128(p + 4 * part), Load128(p + (kPixels == 1 ? 16 : 0) + 4 * part));
  }

  static PTQ_INLINE Vector UnpackLow(Vector a, Vector b) { return _mm256_unpacklo_epi8(a, b); }
  static PTQ_INLINE Vector UnpackHigh(Vector a, Vector b) { return _mm256_unpackhi_epi8(a, b); }
  static PTQ_INLINE Vector UnpackLow16(Vector a, Vector b) { return _mm256_unpacklo_epi16(a, b); }
  static PTQ_INLINE Vector UnpackHigh16(Vector a, Vector b) { return _mm256_unpackhi_epi16(a, b); }
  static PTQ_INLINE Vector MultiplyAdd(Vector sum, Vector words, Vector weights) {
    return _mm256_dpbusd_avx_epi32(sum, words, weights);
  }

  static PTQ_INLINE Range MakeRange(const OutputRange& range) { return MakeAvx2Range(range); }
  static PTQ_INLINE Real Scale(Vector sum, Real multiplier) { return ScaleX8(sum, multiplier); }
  static PTQ_INLINE Real Splat(float value) { return _mm256_set1_ps(value); }
  static PTQ_INLINE Real Clamp(Real v, Real lo, Real hi) {
    return _mm256_min_ps(hi, _mm256_max_ps(lo, v));
  }
  static PTQ_INLINE void StoreReal(float* p, Real v) { _mm256_storeu_ps(p, v); }

  static PTQ_INLINE __m256i Words(Real low, Real high, const Range& range) {
    return _mm256_adds_epi16(_mm256_packs_epi32(RoundX8(low, range), RoundX8(high, range)),
                             range.zero_point);
  }
  template <size_t kPixels>
  static PTQ_INLINE void StoreQuantized(int8_t* const (&y)[kPixels], size_t count,
                                        const Real (&real)[kParts], const Range& range) {
    constexpr size_t kPixelBytes = kChannels / kPixels;
    // Packing undoes what unpacking did to the order.
    const Vector q = _mm256_max_epi8(
        _mm256_packs_epi16(Words(real[0], real[1], range), Words(real[2], real[3], range)),
        range.q_min);
    if (count == kPixelBytes) {
      if constexpr (kPixels == 1) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(y[0]), q);
      } else {
        _mm256_storeu2_m128i(reinterpret_cast<__m128i*>(y[1]), reinterpret_cast<__m128i*>(y[0]), q);
      }
    } else {
      int8_t values[kPixels][kPixelBytes];
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(values), q);
      for (size_t i = 0; i < kPixels; ++i) CopyBytes(values[i], count, y[i]);
    }
  }
};

}  // namespace

void depthwise_i8_3x3s1__avxvnni(const DepthwiseI8Row& row) { SquareRowI8<I8, 3, 1>(row); }

void depthwise_i8_3x3s2__avxvnni(const DepthwiseI8Row& row) { SquareRowI8<I8, 3, 2>(row); }

void depthwise_i8_5x5s1__avxvnni(const DepthwiseI8Row& row) { SquareRowI8<I8, 5, 1>(row); }

void depthwise_i8_5x5s2__avxvnni(const DepthwiseI8Row& row) { SquareRowI8<I8, 5, 2>(row); }

void depthwise_i8_1x32__avxvnni(const DepthwiseI8Row& row) { AnyRowI8<I8>(row); }

}  // namespace ptq
