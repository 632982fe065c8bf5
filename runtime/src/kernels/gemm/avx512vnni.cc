// gemm for AVX-512 with VNNI: 12 pixels by 32 channels, 24 accumulators of 16 lanes.
#include <immintrin.h>
#include <string.h>

#include "base/math.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/store_i8.h"

namespace ptq {
namespace {

constexpr size_t kMr = 12, kNr = 32, kLanes = 16;
constexpr size_t kUnroll = 4;  // input channels per iteration of a float loop
constexpr size_t kChunk = 64;  // input channels that are made unsigned at a time

// The lanes of vector `v` of a block that are among the first `columns` channels.
PTQ_INLINE __mmask16 Lanes(size_t columns, size_t v) {
  return static_cast<__mmask16>(_bzhi_u32(
      0xFFFF, static_cast<uint32_t>(columns < v * kLanes ? 0 : Min(columns - v * kLanes, kLanes))));
}

// Walks over what a call was told to expect next, evenly, and brings it into the second-level
// cache.
struct Prefetcher {
  const char* next;
  size_t step;  // bytes for each kUnroll input channels, 0 if nothing is expected
};

// Adds the products of input channel k, whose weights are at `w`.
template <size_t kRows, size_t kVectors>
PTQ_INLINE void StepF32(const float* const (&x)[kRows], size_t k, const float* w,
                        __m512 (&sum)[kRows][kVectors]) {
  __m512 weights[kVectors];
#pragma unroll
  for (size_t v = 0; v < kVectors; ++v) weights[v] = _mm512_loadu_ps(w + v * kLanes);
#pragma unroll
  for (size_t i = 0; i < kRows; ++i) {
    const __m512 value = _mm512_set1_ps(x[i][k]);
#pragma unroll
    for (size_t v = 0; v < kVectors; ++v) {
      sum[i][v] = _mm512_fmadd_ps(value, weights[v], sum[i][v]);
    }
  }
}

// Adds the products of one tap and returns the weights of the next one.
template <bool kPrefetch, size_t kRows, size_t kVectors>
PTQ_INLINE const float* TapF32(const float* const* rows, size_t depth, const float* w,
                               Prefetcher& prefetcher, __m512 (&sum)[kRows][kVectors]) {
  const float* x[kRows];
#pragma unroll
  for (size_t i = 0; i < kRows; ++i) x[i] = rows[i];
  size_t k = 0;
  for (; k + kUnroll <= depth; k += kUnroll, w += kUnroll * kNr) {
    if (kPrefetch) {
      _mm_prefetch(prefetcher.next, _MM_HINT_T1);
      prefetcher.next += prefetcher.step;
    }
#pragma unroll
    for (size_t i = 0; i < kUnroll; ++i) StepF32(x, k + i, w + i * kNr, sum);
  }
  for (; k < depth; ++k, w += kNr) StepF32(x, k, w, sum);
  return w;
}

// kRows pixels by kVectors vectors of channels of one block.
template <size_t kRows, size_t kVectors>
void BlockF32(const GemmF32Tile& tile, Prefetcher& prefetcher) {
  __m512 sum[kRows][kVectors];
#pragma unroll
  for (size_t i = 0; i < kRows; ++i) {
#pragma unroll
    for (size_t v = 0; v < kVectors; ++v) sum[i][v] = _mm512_loadu_ps(tile.bias + v * kLanes);
  }
  const float* w = tile.weights;
  for (size_t tap = 0; tap < tile.taps; ++tap) {
    // A prefetch costs the loop some per cent: only where there is something to bring.
    w = prefetcher.step != 0 ? TapF32<true>(tile.rows + tap * kMr, tile.depth, w, prefetcher, sum)
                             : TapF32<false>(tile.rows + tap * kMr, tile.depth, w, prefetcher, sum);
  }
  const __m512 lo = _mm512_set1_ps(tile.lo), hi = _mm512_set1_ps(tile.hi);
  float* output = tile.output;
#pragma unroll
  for (size_t i = 0; i < kRows; ++i, output += tile.output_stride) {
#pragma unroll
    for (size_t v = 0; v < kVectors; ++v) {
      // This operand order lets a NaN pass, as Clamp does.
      const __m512 y = _mm512_min_ps(hi, _mm512_max_ps(lo, sum[i][v]));
      _mm512_mask_storeu_ps(output + v * kLanes, Lanes(tile.columns, v), y);
    }
  }
}

using BlockFunctionF32 = void (*)(const GemmF32Tile&, Prefetcher&);
// By rows - 1 and vectors - 1.
constexpr BlockFunctionF32 kBlocksF32[kMr][2] = {
    {BlockF32<1, 1>, BlockF32<1, 2>},   {BlockF32<2, 1>, BlockF32<2, 2>},
    {BlockF32<3, 1>, BlockF32<3, 2>},   {BlockF32<4, 1>, BlockF32<4, 2>},
    {BlockF32<5, 1>, BlockF32<5, 2>},   {BlockF32<6, 1>, BlockF32<6, 2>},
    {BlockF32<7, 1>, BlockF32<7, 2>},   {BlockF32<8, 1>, BlockF32<8, 2>},
    {BlockF32<9, 1>, BlockF32<9, 2>},   {BlockF32<10, 1>, BlockF32<10, 2>},
    {BlockF32<11, 1>, BlockF32<11, 2>}, {BlockF32<12, 1>, BlockF32<12, 2>},
};

}  // namespace

// vpdpbusd multiplies unsigned by signed bytes and adds four neighbours into int32: x + 128 is x
// with its sign bit flipped, and the bias takes the 128 back (input_offset).
static void BlockI8(const GemmI8Tile& tile) {
  constexpr size_t kMr = 8;
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

void gemm_f32_12x32__avx512vnni(const GemmF32Tile& tile) {
  const BlockFunctionF32* blocks = kBlocksF32[tile.valid_rows - 1];
  const size_t steps = CeilDiv(tile.columns, kNr) * tile.taps * (tile.depth / kUnroll);
  Prefetcher prefetcher = {static_cast<const char*>(tile.next),
                           steps == 0 ? 0 : CeilDiv(tile.next_bytes, steps)};
  ForEachBlock<kNr>(tile, [blocks, &prefetcher](const GemmF32Tile& block) {
    blocks[block.columns > kLanes ? 1 : 0](block, prefetcher);
  });
}

void gemm_i8_8x32__avx512vnni(const GemmI8Tile& tile) { ForEachBlock<32, 4>(tile, BlockI8); }

}  // namespace ptq
