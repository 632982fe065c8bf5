// What the gemm kernels of AVX2 and AVX-VNNI have in common: vectors of 8 lanes, 6 pixels by 16
// channels.
#ifndef PTQ_KERNELS_GEMM_VECTOR256_H_
#define PTQ_KERNELS_GEMM_VECTOR256_H_

#include <immintrin.h>
#include <string.h>

#include "kernels/gemm/register_tile.h"
#include "numerics/requantize_avx2.h"

namespace ptq {
namespace {

struct Float256 {
  using Vector = __m256;
  static constexpr size_t kMr = 6, kLanes = 8;

  PTQ_INLINE static __m256 Load(const float* p) { return _mm256_loadu_ps(p); }
  PTQ_INLINE static __m256 Set1(float value) { return _mm256_set1_ps(value); }
  PTQ_INLINE static __m256 MultiplyAdd(__m256 x, __m256 w, __m256 sum) {
    return _mm256_fmadd_ps(x, w, sum);
  }
  // This operand order lets a NaN pass, as ptq::Clamp does.
  PTQ_INLINE static __m256 Clamp(__m256 x, __m256 lo, __m256 hi) {
    return _mm256_min_ps(hi, _mm256_max_ps(lo, x));
  }
  PTQ_INLINE static void Store(float* y, size_t count, __m256 value) {
    if (count >= kLanes) {
      _mm256_storeu_ps(y, value);
    } else {
      const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
      _mm256_maskstore_ps(
          y, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(count)), lanes), value);
    }
  }
};

// Sums of int8 kernels, and how they leave.
struct Int8Sums256 {
  using Vector = __m256i;
  static constexpr size_t kMr = 6, kLanes = 8;

  PTQ_INLINE static __m256i LoadSums(const int32_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  PTQ_INLINE static __m256i Set1(int32_t value) { return _mm256_set1_epi32(value); }

  template <size_t kRows, size_t kVectors>
  PTQ_INLINE static void StoreI8(const GemmI8Tile& tile, const __m256i (&sum)[kRows][kVectors]) {
    const Avx2Range range = MakeAvx2Range(tile.range);
    const __m256 m0 = _mm256_loadu_ps(tile.multiplier),
                 m1 = _mm256_loadu_ps(tile.multiplier + (kVectors - 1) * kLanes);
    int8_t* y = tile.output_i8;
#pragma unroll
    for (size_t i = 0; i < kRows; ++i, y += tile.output_stride) {
      const __m128i q = kVectors == 1
                            ? RequantizeX8(sum[i][0], m0, range)
                            : RequantizeX16(sum[i][0], sum[i][kVectors - 1], m0, m1, range);
      if (tile.columns >= 16) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(y), q);
      } else {
        int8_t bytes[16];
        memcpy(bytes, &q, sizeof bytes);
        memcpy(y, bytes, tile.columns);
      }
    }
  }

  template <size_t kRows, size_t kVectors>
  PTQ_INLINE static void StoreF32(const GemmI8Tile& tile, const __m256i (&sum)[kRows][kVectors]) {
    const __m256 lo = _mm256_set1_ps(tile.lo), hi = _mm256_set1_ps(tile.hi);
    float* y = tile.output_f32;
#pragma unroll
    for (size_t i = 0; i < kRows; ++i, y += tile.output_stride) {
#pragma unroll
      for (size_t v = 0; v < kVectors; ++v) {
        const __m256 value = ScaleX8(sum[i][v], _mm256_loadu_ps(tile.multiplier + v * kLanes));
        Float256::Store(y + v * kLanes, tile.columns - v * kLanes, Float256::Clamp(value, lo, hi));
      }
    }
  }
};

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_VECTOR256_H_
