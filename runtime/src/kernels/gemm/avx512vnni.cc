// gemm for AVX-512 with VNNI: 12 pixels by 32 channels, 24 accumulators of 16 lanes.
#include <immintrin.h>
#include <string.h>

#include "base/math.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/contract.h"
#include "numerics/requantize_avx512.h"

namespace ptq {
namespace {

constexpr size_t kMr = 12, kNr = 32, kLanes = 16;
constexpr size_t kUnroll = 4;  // input channels per iteration of a float loop

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

// vpdpbusd multiplies unsigned by signed bytes and adds four neighbours into int32: x + 128 is x
// with its sign bit flipped, and the bias takes the 128 back (input_offset).
//
// A tile's rows are copied so, all taps one after another, once for all blocks of the call. The
// rows then lie at constant distances: the loop needs one register for all of them, and no taps.
constexpr size_t kSegment = 2304;              // bytes of a row that are copied at a time
constexpr size_t kRowStride = kSegment + 128;  // not a power of two; copies run over by up to 63
constexpr size_t kFlipBytes = 64;

// Bytes [begin, end) of the rows with all their taps, each rounded up to four bytes.
PTQ_INLINE void FlipRows(const GemmI8Tile& tile, size_t rows, size_t begin, size_t end,
                         uint8_t* flipped) {
  const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
  const size_t tap_bytes = CeilDiv(tile.depth, 4) * 4;
  size_t tap = begin / tap_bytes, at = begin % tap_bytes;
  for (size_t left = end - begin; left > 0; ++tap, at = 0) {
    const size_t count = Min(tap_bytes - at, left);
    for (size_t i = 0; i < rows; ++i) {
      const int8_t* x = tile.rows[tap * kMr + i] + at;
      uint8_t* to = flipped + i * kRowStride;
      for (size_t k = 0; k < count; k += kFlipBytes) {
        _mm512_storeu_si512(to + k, _mm512_xor_si512(_mm512_loadu_si512(x + k), sign));
      }
    }
    flipped += count;
    left -= count;
  }
}

template <size_t kRows, size_t kVectors>
PTQ_INLINE void StepI8(const uint8_t* x, const int8_t* w, __m512i (&sum)[kRows][kVectors]) {
  __m512i weights[kVectors];
#pragma unroll
  for (size_t v = 0; v < kVectors; ++v) weights[v] = _mm512_loadu_si512(w + v * 4 * kLanes);
#pragma unroll
  for (size_t i = 0; i < kRows; ++i) {
    int32_t four;
    memcpy(&four, x + i * kRowStride, sizeof four);
    const __m512i value = _mm512_set1_epi32(four);
#pragma unroll
    for (size_t v = 0; v < kVectors; ++v) {
      sum[i][v] = _mm512_dpbusd_epi32(sum[i][v], value, weights[v]);
    }
  }
}

// Adds the products of `count` bytes of each row and returns the weights behind them.
template <bool kPrefetch, size_t kRows, size_t kVectors>
PTQ_INLINE const int8_t* SegmentI8(const uint8_t* x, size_t count, const int8_t* w,
                                   Prefetcher& prefetcher, __m512i (&sum)[kRows][kVectors]) {
  const uint8_t* end = x + count;
  constexpr size_t kStep = 4 * kUnroll;
  for (; x + kStep <= end; x += kStep, w += kStep * kNr) {
    if (kPrefetch) {
      _mm_prefetch(prefetcher.next, _MM_HINT_T1);
      prefetcher.next += prefetcher.step;
    }
#pragma unroll
    for (size_t i = 0; i < kUnroll; ++i) StepI8(x + 4 * i, w + 4 * i * kNr, sum);
  }
  for (; x < end; x += 4, w += 4 * kNr) StepI8(x, w, sum);
  return w;
}

// Two rows of 32 results, or what of that is there.
template <size_t kRows, size_t kVectors>
PTQ_INLINE void StoreI8(const GemmI8Tile& tile, const __m512i (&sum)[kRows][kVectors]) {
  const Avx512Range range = MakeAvx512Range(tile.range);
  const __m512 m0 = _mm512_loadu_ps(tile.multiplier),
               m1 = _mm512_loadu_ps(tile.multiplier + (kVectors - 1) * kLanes);
  const __mmask32 columns = _bzhi_u32(~0u, static_cast<uint32_t>(tile.columns));
  int8_t* y = tile.output_i8;
#pragma unroll
  for (size_t i = 0; i < kRows; ++i, y += tile.output_stride) {
    if (kVectors == 1) {
      _mm_mask_storeu_epi8(y, static_cast<__mmask16>(columns), RequantizeX16(sum[i][0], m0, range));
    } else if (i + 1 < kRows) {
      const __m512i q = RequantizeX64(sum[i][0], sum[i][kVectors - 1], sum[i + 1][0],
                                      sum[i + 1][kVectors - 1], m0, m1, m0, m1, range);
      _mm256_mask_storeu_epi8(y, columns, _mm512_castsi512_si256(q));
      y += tile.output_stride;
      _mm256_mask_storeu_epi8(y, columns, _mm512_extracti64x4_epi64(q, 1));
      ++i;
    } else {
      _mm256_mask_storeu_epi8(y, columns,
                              RequantizeX32(sum[i][0], sum[i][kVectors - 1], m0, m1, range));
    }
  }
}

template <size_t kRows, size_t kVectors>
PTQ_INLINE void StoreF32(const GemmI8Tile& tile, const __m512i (&sum)[kRows][kVectors]) {
  const __m512 lo = _mm512_set1_ps(tile.lo), hi = _mm512_set1_ps(tile.hi);
  float* y = tile.output_f32;
#pragma unroll
  for (size_t i = 0; i < kRows; ++i, y += tile.output_stride) {
#pragma unroll
    for (size_t v = 0; v < kVectors; ++v) {
      const __m512 value = ScaleX16(sum[i][v], _mm512_loadu_ps(tile.multiplier + v * kLanes));
      _mm512_mask_storeu_ps(y + v * kLanes, Lanes(tile.columns, v),
                            _mm512_min_ps(hi, _mm512_max_ps(lo, value)));
    }
  }
}

// `flipped`: the rows, if they fit in one segment; room for a segment of them otherwise.
template <size_t kRows, size_t kVectors>
void BlockI8(const GemmI8Tile& tile, uint8_t* flipped, Prefetcher& prefetcher) {
  __m512i sum[kRows][kVectors];
#pragma unroll
  for (size_t i = 0; i < kRows; ++i) {
#pragma unroll
    for (size_t v = 0; v < kVectors; ++v) sum[i][v] = _mm512_loadu_si512(tile.bias + v * kLanes);
  }
  const size_t bytes = tile.taps * CeilDiv(tile.depth, 4) * 4;
  const int8_t* w = tile.weights;
  for (size_t begin = 0; begin < bytes; begin += kSegment) {
    const size_t count = Min(kSegment, bytes - begin);
    if (bytes > kSegment) FlipRows(tile, kRows, begin, begin + count, flipped);
    w = prefetcher.step != 0 ? SegmentI8<true>(flipped, count, w, prefetcher, sum)
                             : SegmentI8<false>(flipped, count, w, prefetcher, sum);
  }
  if (tile.output_i8 != nullptr) {
    StoreI8(tile, sum);
  } else {
    StoreF32(tile, sum);
  }
}

using BlockFunctionI8 = void (*)(const GemmI8Tile&, uint8_t*, Prefetcher&);
constexpr BlockFunctionI8 kBlocksI8[kMr][2] = {
    {BlockI8<1, 1>, BlockI8<1, 2>},   {BlockI8<2, 1>, BlockI8<2, 2>},
    {BlockI8<3, 1>, BlockI8<3, 2>},   {BlockI8<4, 1>, BlockI8<4, 2>},
    {BlockI8<5, 1>, BlockI8<5, 2>},   {BlockI8<6, 1>, BlockI8<6, 2>},
    {BlockI8<7, 1>, BlockI8<7, 2>},   {BlockI8<8, 1>, BlockI8<8, 2>},
    {BlockI8<9, 1>, BlockI8<9, 2>},   {BlockI8<10, 1>, BlockI8<10, 2>},
    {BlockI8<11, 1>, BlockI8<11, 2>}, {BlockI8<12, 1>, BlockI8<12, 2>},
};

// Bytes to prefetch in each of the `steps` of a call.
PTQ_INLINE Prefetcher MakePrefetcher(const void* next, size_t bytes, size_t steps) {
  return {static_cast<const char*>(next), steps == 0 ? 0 : CeilDiv(bytes, steps)};
}

}  // namespace

void gemm_f32_12x32__avx512vnni(const GemmF32Tile& tile) {
  const BlockFunctionF32* blocks = kBlocksF32[tile.valid_rows - 1];
  Prefetcher prefetcher = MakePrefetcher(
      tile.next, tile.next_bytes, CeilDiv(tile.columns, kNr) * tile.taps * (tile.depth / kUnroll));
  ForEachBlock<kNr>(tile, [blocks, &prefetcher](const GemmF32Tile& block) {
    blocks[block.columns > kLanes ? 1 : 0](block, prefetcher);
  });
}

void gemm_i8_12x32__avx512vnni(const GemmI8Tile& tile) {
  const BlockFunctionI8* blocks = kBlocksI8[tile.valid_rows - 1];
  alignas(64) uint8_t flipped[kMr * kRowStride];
  const size_t bytes = tile.taps * CeilDiv(tile.depth, 4) * 4;
  if (bytes <= kSegment) FlipRows(tile, tile.valid_rows, 0, bytes, flipped);
  Prefetcher prefetcher = MakePrefetcher(tile.next, tile.next_bytes,
                                         CeilDiv(tile.columns, kNr) * (bytes / 4 / kUnroll));
  ForEachBlock<kNr, 4>(tile, [blocks, &flipped, &prefetcher](const GemmI8Tile& block) {
    blocks[block.columns > kLanes ? 1 : 0](block, flipped, prefetcher);
  });
}

}  // namespace ptq
