// gemm for AVX-512 with VNNI: 12 pixels by 32 channels, 24 accumulators of 16 lanes.
#include <immintrin.h>

#include "kernels/gemm/register_tile.h"
#include "numerics/requantize_avx512.h"

namespace ptq {
namespace {

// The first `count` lanes, all if there are more.
PTQ_INLINE __mmask16 FirstLanes(size_t count) {
  return static_cast<__mmask16>(_bzhi_u32(0xFFFF, static_cast<uint32_t>(Min<size_t>(count, 16))));
}

struct FloatAvx512 {
  using Vector = __m512;
  static constexpr size_t kMr = 12, kLanes = 16;

  PTQ_INLINE static __m512 Load(const float* p) { return _mm512_loadu_ps(p); }
  PTQ_INLINE static __m512 Set1(float value) { return _mm512_set1_ps(value); }
  PTQ_INLINE static __m512 MultiplyAdd(__m512 x, __m512 w, __m512 sum) {
    return _mm512_fmadd_ps(x, w, sum);
  }
  // This operand order lets a NaN pass, as ptq::Clamp does.
  PTQ_INLINE static __m512 Clamp(__m512 x, __m512 lo, __m512 hi) {
    return _mm512_min_ps(hi, _mm512_max_ps(lo, x));
  }
  PTQ_INLINE static void Store(float* y, size_t count, __m512 value) {
    _mm512_mask_storeu_ps(y, FirstLanes(count), value);
  }
};

// vpdpbusd multiplies unsigned by signed bytes and adds four neighbours into int32: x + 128 is x
// with its sign bit flipped, and the bias takes the 128 back (input_offset).
struct Int8Avx512Vnni {
  using Vector = __m512i;
  static constexpr size_t kMr = 12, kLanes = 16, kGroup = 4, kCopy = 64;

  PTQ_INLINE static void Copy(const int8_t* x, uint8_t* to) {
    const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
    _mm512_storeu_si512(to, _mm512_xor_si512(_mm512_loadu_si512(x), sign));
  }
  PTQ_INLINE static __m512i LoadSums(const int32_t* p) { return _mm512_loadu_si512(p); }
  PTQ_INLINE static __m512i LoadWeights(const int8_t* p) { return _mm512_loadu_si512(p); }
  PTQ_INLINE static __m512i Set1(int32_t value) { return _mm512_set1_epi32(value); }
  PTQ_INLINE static __m512i MultiplyAdd(__m512i x, __m512i w, __m512i sum) {
    return _mm512_dpbusd_epi32(sum, x, w);
  }

  template <size_t kRows>
  PTQ_INLINE static void StoreI8(const GemmI8Tile& tile, const __m512i (&sum)[kRows][1]) {
    const Avx512Range range = MakeAvx512Range(tile.range);
    const __m512 m = _mm512_loadu_ps(tile.multiplier);
    int8_t* y = tile.output_i8;
#pragma unroll
    for (size_t i = 0; i < kRows; ++i, y += tile.output_stride) {
      _mm_mask_storeu_epi8(y, FirstLanes(tile.columns), RequantizeX16(sum[i][0], m, range));
    }
  }

  // Two rows at a time are cheaper.
  template <size_t kRows>
  PTQ_INLINE static void StoreI8(const GemmI8Tile& tile, const __m512i (&sum)[kRows][2]) {
    const Avx512Range range = MakeAvx512Range(tile.range);
    const __m512 m0 = _mm512_loadu_ps(tile.multiplier),
                 m1 = _mm512_loadu_ps(tile.multiplier + kLanes);
    const __mmask32 columns = _bzhi_u32(~0u, static_cast<uint32_t>(tile.columns));
    int8_t* y = tile.output_i8;
#pragma unroll
    for (size_t i = 0; i + 1 < kRows; i += 2, y += 2 * tile.output_stride) {
      const __m512i q =
          RequantizeX64(sum[i][0], sum[i][1], sum[i + 1][0], sum[i + 1][1], m0, m1, m0, m1, range);
      _mm256_mask_storeu_epi8(y, columns, _mm512_castsi512_si256(q));
      _mm256_mask_storeu_epi8(y + tile.output_stride, columns, _mm512_extracti64x4_epi64(q, 1));
    }
    if (kRows % 2 == 0) return;
    constexpr size_t kLast = kRows - 1;
    _mm256_mask_storeu_epi8(y, columns, RequantizeX32(sum[kLast][0], sum[kLast][1], m0, m1, range));
  }

  template <size_t kRows, size_t kVectors>
  PTQ_INLINE static void StoreF32(const GemmI8Tile& tile, const __m512i (&sum)[kRows][kVectors]) {
    const __m512 lo = _mm512_set1_ps(tile.lo), hi = _mm512_set1_ps(tile.hi);
    float* y = tile.output_f32;
#pragma unroll
    for (size_t i = 0; i < kRows; ++i, y += tile.output_stride) {
#pragma unroll
      for (size_t v = 0; v < kVectors; ++v) {
        const __m512 value = ScaleX16(sum[i][v], _mm512_loadu_ps(tile.multiplier + v * kLanes));
        FloatAvx512::Store(y + v * kLanes, tile.columns - v * kLanes,
                           FloatAvx512::Clamp(value, lo, hi));
      }
    }
  }
};

}  // namespace

void gemm_f32_12x32__avx512vnni(const GemmF32Tile& tile) { RunF32<FloatAvx512>(tile); }

void gemm_i8_12x32__avx512vnni(const GemmI8Tile& tile) { RunI8<Int8Avx512Vnni>(tile); }

}  // namespace ptq
