// gemm for AVX2 with FMA: 6 pixels by 16 channels, 12 accumulators of 8 lanes.
#include <immintrin.h>
#include <string.h>

#include "base/math.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/store_i8.h"

namespace ptq {
namespace {

constexpr size_t kMr = 6, kNr = 16;
constexpr size_t kChunk = 16;  // input channels that are widened to int16 at a time

}  // namespace

static void BlockF32(const GemmF32Tile& tile) {
  __m256 sum[kMr][2];
  for (size_t i = 0; i < kMr; ++i) {
    sum[i][0] = _mm256_loadu_ps(tile.bias);
    sum[i][1] = _mm256_loadu_ps(tile.bias + 8);
  }
  const float* w = tile.weights;
  for (size_t tap = 0; tap < tile.taps; ++tap) {
    const float* x[kMr];
    memcpy(x, tile.rows + tap * kMr, sizeof x);
    for (size_t k = 0; k < tile.depth; ++k, w += kNr) {
      const __m256 w0 = _mm256_loadu_ps(w), w1 = _mm256_loadu_ps(w + 8);
#pragma unroll
      for (size_t i = 0; i < kMr; ++i) {
        const __m256 value = _mm256_broadcast_ss(x[i] + k);
        sum[i][0] = _mm256_fmadd_ps(value, w0, sum[i][0]);
        sum[i][1] = _mm256_fmadd_ps(value, w1, sum[i][1]);
      }
    }
  }
  const __m256 lo = _mm256_set1_ps(tile.lo), hi = _mm256_set1_ps(tile.hi);
  for (size_t i = 0; i < tile.valid_rows; ++i) {
    float y[kNr];
    // This operand order lets a NaN pass, as Clamp does.
    _mm256_storeu_ps(y, _mm256_min_ps(hi, _mm256_max_ps(lo, sum[i][0])));
    _mm256_storeu_ps(y + 8, _mm256_min_ps(hi, _mm256_max_ps(lo, sum[i][1])));
    memcpy(tile.output + i * tile.output_stride, y, tile.columns * sizeof(float));
  }
}

// Pairs of channels: vpmaddwd multiplies int16 and adds two neighbours into int32.
static void BlockI8(const GemmI8Tile& tile) {
  __m256i sum[kMr][2];
  for (size_t i = 0; i < kMr; ++i) {
    sum[i][0] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile.bias));
    sum[i][1] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile.bias + 8));
  }
  const int8_t* w = tile.weights;
  for (size_t tap = 0; tap < tile.taps; ++tap) {
    for (size_t begin = 0; begin < tile.depth; begin += kChunk) {
      const size_t count = Min(kChunk, tile.depth - begin);
      alignas(32) int16_t x[kMr][kChunk];
      for (size_t i = 0; i < kMr; ++i) {
        __m128i bytes = _mm_setzero_si128();
        const int8_t* row = tile.rows[tap * kMr + i] + begin;
        if (count == kChunk) {
          bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
        } else {
          memcpy(&bytes, row, count);
        }
        _mm256_store_si256(reinterpret_cast<__m256i*>(x[i]), _mm256_cvtepi8_epi16(bytes));
      }
      for (size_t k = 0; k < count; k += 2, w += 2 * kNr) {
        const __m256i w0 =
            _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
        const __m256i w1 =
            _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w + kNr)));
#pragma unroll
        for (size_t i = 0; i < kMr; ++i) {
          int32_t pair;
          memcpy(&pair, x[i] + k, sizeof pair);
          const __m256i value = _mm256_set1_epi32(pair);
          sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(value, w0));
          sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(value, w1));
        }
      }
    }
  }
  for (size_t i = 0; i < tile.valid_rows; ++i) {
    int32_t accumulator[kNr];
    memcpy(accumulator, sum[i], sizeof accumulator);
    StoreRow<kNr>(tile, i, accumulator);
  }
}

void gemm_f32_6x16__avx2(const GemmF32Tile& tile) { ForEachBlock<16>(tile, BlockF32); }

void gemm_i8_6x16__avx2(const GemmI8Tile& tile) { ForEachBlock<16, 2>(tile, BlockI8); }

}  // namespace ptq
