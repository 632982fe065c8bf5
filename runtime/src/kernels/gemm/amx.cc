// gemm for AMX: tiles of 16 pixels by 64 input channels times 64 input channels by 16 outputs.
//
// 32 pixels by 32 outputs are accumulated in four of the eight tile registers; two hold inputs and
// two hold weights, whose packed order (nr = 32, kr = 4) is the tiles' own. Both operands are
// signed, so nothing is added to the input.
#include <immintrin.h>

#include "base/math.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/contract.h"
#include "numerics/requantize_avx512.h"

namespace ptq {
namespace {

constexpr size_t kMr = 64, kNr = 32, kKd = 64;
constexpr size_t kTileRows = 16, kTileBytes = 64;

// The argument of ldtilecfg: all tiles have their full size.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileConfig kTileConfig;

// What lies between the tile registers and memory.
struct alignas(64) Scratch {
  int32_t sums[2 * kTileRows][kNr];
  int8_t rows[2][kTileRows][kTileBytes];
};

// The rows of 16 pixels in one tap. tileloadd reads rows at equal distances; others are gathered.
struct TileRows {
  const int8_t* const* pointers;
  ptrdiff_t step;
  bool regular;

  PTQ_INLINE explicit TileRows(const int8_t* const* rows)
      : pointers(rows), step(rows[1] - rows[0]) {
    const __m512i lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i first = _mm512_add_epi64(_mm512_set1_epi64(reinterpret_cast<intptr_t>(rows[0])),
                                           _mm512_mullox_epi64(lane, _mm512_set1_epi64(step)));
    const __m512i second = _mm512_add_epi64(first, _mm512_set1_epi64(8 * step));
    regular = (_mm512_cmpneq_epi64_mask(first, _mm512_loadu_si512(rows)) |
               _mm512_cmpneq_epi64_mask(second, _mm512_loadu_si512(rows + 8))) == 0;
  }

  PTQ_INLINE void Gather(size_t k, int8_t (&to)[kTileRows][kTileBytes]) const {
#pragma unroll
    for (size_t i = 0; i < kTileRows; ++i) {
      _mm512_store_si512(to[i], _mm512_loadu_si512(pointers[i] + k));
    }
  }
};

// Walks over what a call was told to expect next and brings it into the second-level cache.
struct Prefetcher {
  const char* next;
  size_t lines;  // for each step of 64 input channels

  PTQ_INLINE void Step() {
    for (size_t i = 0; i < lines; ++i, next += 64) _mm_prefetch(next, _MM_HINT_T1);
  }
};

// Sums of 16 * kGroups pixels from `rows` on by one block of outputs, into scratch.sums.
template <size_t kGroups>
PTQ_INLINE void SumTiles(const GemmI8Tile& tile, const int8_t* const* rows, Prefetcher& prefetcher,
                         Scratch& scratch) {
  // A stride of 0 gives every row the same bias.
  _tile_loadd(0, tile.bias, 0);
  _tile_loadd(1, tile.bias + 16, 0);
  if (kGroups == 2) {
    _tile_loadd(2, tile.bias, 0);
    _tile_loadd(3, tile.bias + 16, 0);
  }
  const int8_t* w = tile.weights;
  for (size_t tap = 0; tap < tile.taps; ++tap, rows += kMr) {
    const TileRows upper(rows), lower(rows + (kGroups - 1) * kTileRows);
    for (size_t k = 0; k < tile.depth; k += kKd, w += kKd * kNr) {
      prefetcher.Step();
      if (upper.regular) {
        _tile_loadd(4, upper.pointers[0] + k, upper.step);
      } else {
        upper.Gather(k, scratch.rows[0]);
        _tile_loadd(4, scratch.rows[0], kTileBytes);
      }
      _tile_loadd(6, w, 4 * kNr);
      _tile_dpbssd(0, 4, 6);
      _tile_loadd(7, w + 2 * kNr, 4 * kNr);
      _tile_dpbssd(1, 4, 7);
      if (kGroups == 1) continue;
      if (lower.regular) {
        _tile_loadd(5, lower.pointers[0] + k, lower.step);
      } else {
        lower.Gather(k, scratch.rows[1]);
        _tile_loadd(5, scratch.rows[1], kTileBytes);
      }
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    }
  }
  _tile_stored(0, scratch.sums[0], sizeof scratch.sums[0]);
  _tile_stored(1, scratch.sums[0] + 16, sizeof scratch.sums[0]);
  if (kGroups == 2) {
    _tile_stored(2, scratch.sums[kTileRows], sizeof scratch.sums[0]);
    _tile_stored(3, scratch.sums[kTileRows] + 16, sizeof scratch.sums[0]);
  }
}

PTQ_INLINE void StoreI8(const GemmI8Tile& tile, const Scratch& scratch, size_t row, size_t count) {
  const Avx512Range range = MakeAvx512Range(tile.range);
  const __m512 m0 = _mm512_loadu_ps(tile.multiplier), m1 = _mm512_loadu_ps(tile.multiplier + 16);
  const __mmask32 columns = _bzhi_u32(~0u, static_cast<uint32_t>(tile.columns));
  int8_t* y = tile.output_i8 + row * tile.output_stride;
  for (size_t i = 0; i < count; i += 2, y += 2 * tile.output_stride) {
    const int32_t *first = scratch.sums[i], *second = scratch.sums[i + 1];
    const __m512i q = RequantizeX64(_mm512_load_si512(first), _mm512_load_si512(first + 16),
                                    _mm512_load_si512(second), _mm512_load_si512(second + 16), m0,
                                    m1, m0, m1, range);
    _mm256_mask_storeu_epi8(y, columns, _mm512_castsi512_si256(q));
    if (i + 1 < count) {
      _mm256_mask_storeu_epi8(y + tile.output_stride, columns, _mm512_extracti64x4_epi64(q, 1));
    }
  }
}

PTQ_INLINE void StoreF32(const GemmI8Tile& tile, const Scratch& scratch, size_t row, size_t count) {
  const __m512 lo = _mm512_set1_ps(tile.lo), hi = _mm512_set1_ps(tile.hi);
  float* y = tile.output_f32 + row * tile.output_stride;
  for (size_t i = 0; i < count; ++i, y += tile.output_stride) {
    for (size_t j = 0; j < tile.columns; j += 16) {
      const __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(scratch.sums[i] + j)),
                                         _mm512_loadu_ps(tile.multiplier + j));
      _mm512_mask_storeu_ps(y + j,
                            static_cast<__mmask16>(_bzhi_u32(
                                0xFFFF, static_cast<uint32_t>(Min<size_t>(tile.columns - j, 16)))),
                            _mm512_min_ps(hi, _mm512_max_ps(lo, value)));
    }
  }
}

}  // namespace

void gemm_i8_64x32__amx(const GemmI8Tile& tile) {
  _tile_loadconfig(&kTileConfig);
  Scratch scratch;
  const size_t steps = CeilDiv(tile.columns, kNr) * CeilDiv(tile.valid_rows, 2 * kTileRows) *
                       tile.taps * CeilDiv(tile.depth, kKd);
  Prefetcher prefetcher = {static_cast<const char*>(tile.next),
                           CeilDiv(tile.next_bytes, 64 * steps)};
  ForEachBlock<kNr, kKd>(tile, [&scratch, &prefetcher](const GemmI8Tile& block) {
    for (size_t row = 0; row < block.valid_rows; row += 2 * kTileRows) {
      const size_t count = Min(block.valid_rows - row, 2 * kTileRows);
      if (count > kTileRows) {
        SumTiles<2>(block, block.rows + row, prefetcher, scratch);
      } else {
        SumTiles<1>(block, block.rows + row, prefetcher, scratch);
      }
      if (block.output_i8 != nullptr) {
        StoreI8(block, scratch, row, count);
      } else {
        StoreF32(block, scratch, row, count);
      }
    }
  });
  _tile_release();
}

}  // namespace ptq
