// gemm for AVX-512 with VNNI: 8 pixels by 32 channels, 16 accumulators of 16 lanes.
#include <immintrin.h>
#include <string.h>

#include "base/math.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/store_i8.h"

namespace ptq {
namespace {

constexpr size_t kMr = 8, kNr = 32;
constexpr size_t kChunk = 64;  // input channels that are made unsigned at a time

}  // namespace

static void BlockF32(const GemmF32Tile& tile) {
  __m512 sum[kMr][2];
  for (size_t i = 0; i < kMr; ++i) {
    sum[i][0] = _mm512_loadu_ps(tile.bias);
    sum[i][1] = _mm512_loadu_ps(tile.bias + 16);
  }
  const float* w = tile.weights;
  for (size_t tap = 0; tap < tile.taps; ++tap) {
    const float* x[kMr];
    memcpy(x, tile.rows + tap * kMr, sizeof x);
    for (size_t k = 0; k < tile.depth; ++k, w += kNr) {
      const __m512 w0 = _mm512_loadu_ps(w), w1 = _mm512_loadu_ps(w + 16);
#pragma unroll
      for (size_t i = 0; i < kMr; ++i) {
        const __m512 value = _mm512_set1_ps(x[i][k]);
        sum[i][0] = _mm512_fmadd_ps(value, w0, sum[i][0]);
        sum[i][1] = _mm512_fmadd_ps(value, w1, sum[i][1]);
      }
    }
  }
  const __m512 lo = _mm512_set1_ps(tile.lo), hi = _mm512_set1_ps(tile.hi);
  for (size_t i = 0; i < tile.valid_rows; ++i) {
    float y[kNr];
    // This operand order lets a NaN pass, as Clamp does.
    _mm512_storeu_ps(y, _mm512_min_ps(hi, _mm512_max_ps(lo, sum[i][0])));
    _mm512_storeu_ps(y + 16, _mm512_min_ps(hi, _mm512_max_ps(lo, sum[i][1])));
    memcpy(tile.output + i * tile.output_stride, y, tile.columns * sizeof(float));
  }
}

// vpdpbusd multiplies unsigned by signed bytes and adds four neighbours into int32: x + 128 is x
// with its sign bit flipped, and the bias takes the 128 back (input_offset).
static void BlockI8(const GemmI8Tile& tile) {
  __m512i sum[kMr][2];
  for (size_t i = 0; i < kMr; ++i) {
    sum[i][0] = _mm512_loadu_si512(tile.bias);
    sum[i][1] = _mm512_loadu_si512(tile.bias + 16);
  }
  const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
  const int8_t* w = tile.weights;
  for (size_t tap = 0; tap < tile.taps; ++tap) {
    for (size_t begin = 0; begin < tile.depth; begin += kChunk) {
      const size_t count = Min(kChunk, tile.depth - begin);
      const __mmask64 valid = count == kChunk ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
      alignas(64) uint8_t x[kMr][kChunk];
      for (size_t i = 0; i < kMr; ++i) {
        const __m512i bytes = _mm512_maskz_loadu_epi8(valid, tile.rows[tap * kMr + i] + begin);
        _mm512_store_si512(x[i], _mm512_xor_si512(bytes, sign));
      }
      for (size_t k = 0; k < count; k += 4, w += 4 * kNr) {
        const __m512i w0 = _mm512_loadu_si512(w), w1 = _mm512_loadu_si512(w + 2 * kNr);
#pragma unroll
        for (size_t i = 0; i < kMr; ++i) {
          int32_t four;
          memcpy(&four, x[i] + k, sizeof four);
          const __m512i value = _mm512_set1_epi32(four);
          sum[i][0] = _mm512_dpbusd_epi32(sum[i][0], value, w0);
          sum[i][1] = _mm512_dpbusd_epi32(sum[i][1], value, w1);
        }
      }
    }
  }
  for (size_t i = 0; i < tile.valid_rows; ++i) {
    alignas(64) int32_t accumulator[kNr];
    _mm512_store_si512(accumulator, sum[i][0]);
    _mm512_store_si512(accumulator + 16, sum[i][1]);
    StoreRow<kNr>(tile, i, accumulator);
  }
}

void gemm_f32_8x32__avx512vnni(const GemmF32Tile& tile) { ForEachBlock<32>(tile, BlockF32); }

void gemm_i8_8x32__avx512vnni(const GemmI8Tile& tile) { ForEachBlock<32, 4>(tile, BlockI8); }

}  // namespace ptq
