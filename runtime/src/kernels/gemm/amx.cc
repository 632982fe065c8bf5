// gemm for AMX: tiles of 16 pixels by 64 input channels times 64 input channels by 16 outputs.
//
// 32 pixels by 32 outputs are accumulated in four of the eight tile registers; two hold inputs and
// two hold weights, whose packed order (nr = 32, kr = 4) is the tiles' own. Both operands are
// signed, so nothing is added to the input. Sums are requantized and stored one block late: what
// the tile registers have just given is not yet there, and the next block need not wait for it.
#include <immintrin.h>

#include "base/math.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/contract.h"
#include "numerics/requantize_avx512.h"
#include "numerics/shifted_sum.h"

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
using Sums = int32_t[2 * kTileRows][kNr];

// Where tileloadd, which wants rows at equal distances, finds those of 16 pixels.
struct TileRows {
  const int8_t* data;
  ptrdiff_t step;
};

// The rows of 16 pixels, 64 input channels at a time, tap after tap.
class RowCursor {
 public:
  PTQ_INLINE RowCursor(const GemmI8Tile& tile, const int8_t* const* rows)
      : rows_(rows), depth_(tile.depth) {
    FindStep();
  }

  // The rows themselves if they lie at equal distances; otherwise a copy.
  PTQ_INLINE TileRows Get(int8_t (&copy)[kTileRows][kTileBytes]) const {
    if (regular_) return {rows_[0] + k_, step_};
#pragma unroll
    for (size_t i = 0; i < kTileRows; ++i)
      _mm512_store_si512(copy[i], _mm512_loadu_si512(rows_[i] + k_));
    return {copy[0], kTileBytes};
  }

  PTQ_INLINE void Advance() {
    k_ += kKd;
    if (k_ < depth_) return;
    k_ = 0;
    rows_ += kMr;
    FindStep();
  }

 private:
  PTQ_INLINE void FindStep() {
    step_ = rows_[1] - rows_[0];
    const __m512i lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i first = _mm512_add_epi64(_mm512_set1_epi64(reinterpret_cast<intptr_t>(rows_[0])),
                                           _mm512_mullox_epi64(lane, _mm512_set1_epi64(step_)));
    const __m512i second = _mm512_add_epi64(first, _mm512_set1_epi64(8 * step_));
    regular_ = (_mm512_cmpneq_epi64_mask(first, _mm512_loadu_si512(rows_)) |
                _mm512_cmpneq_epi64_mask(second, _mm512_loadu_si512(rows_ + 8))) == 0;
  }

  const int8_t* const* rows_;  // of the tap
  const size_t depth_;
  size_t k_ = 0;
  ptrdiff_t step_;
  bool regular_;
};

// Copies of rows for this step and the next: loads of what was just stored have to wait.
using Copies = int8_t[2][2][kTileRows][kTileBytes];

// Walks over what a call was told to expect next and brings it into the second-level cache.
struct Prefetcher {
  const char* next;
  size_t lines;  // for each step of 64 input channels

  PTQ_INLINE void Step() {
    for (size_t i = 0; i < lines; ++i, next += 64) _mm_prefetch(next, _MM_HINT_T1);
  }
};

// Steps of 64 input channels for one block of outputs.
PTQ_INLINE size_t BlockSteps(const GemmI8Tile& tile) {
  return tile.taps * CeilDiv(tile.depth, kKd);
}

// Sums of up to 32 pixels by one block of outputs, complete but for the bias.
struct Block {
  const Sums* sums;
  const int32_t* bias;
  const float* multiplier;
  size_t at;  // elements from the tile's first output to the block's
  size_t rows, columns;
};

// (sum + bias) * multiplier of 16 outputs from column j on.
PTQ_INLINE __m512 Scaled(const Block& block, size_t row, size_t j) {
  const __m512i sum = _mm512_add_epi32(_mm512_load_si512((*block.sums)[row] + j),
                                       _mm512_loadu_si512(block.bias + j));
  return ScaleX16(sum, _mm512_loadu_ps(block.multiplier + j));
}

PTQ_INLINE __mmask32 ColumnMask(size_t columns) {
  return _bzhi_u32(~0u, static_cast<uint32_t>(columns));
}

PTQ_INLINE __m512i MaxX64(const OutputRange& range) {
  return _mm512_set1_epi8(static_cast<char>(static_cast<int32_t>(range.hi) + range.zero_point));
}

// Two rows of int8 outputs, of which the second may lie beyond the block.
PTQ_INLINE void StoreRows(const Block& block, size_t row, size_t stride, __m512i q, int8_t* y) {
  const __mmask32 columns = ColumnMask(block.columns);
  y += block.at + row * stride;
  _mm256_mask_storeu_epi8(y, columns, _mm512_castsi512_si256(q));
  if (row + 1 < block.rows)
    _mm256_mask_storeu_epi8(y + stride, columns, _mm512_extracti64x4_epi64(q, 1));
}

// What becomes of the sums of rows `row` and `row` + 1 of a block. While tiles are busy one port is
// left for float vectors and two for integers: bounds are applied to integers. With kSmall no
// result is too large to be rounded to an int32.
template <bool kSmall>
class StoreI8 {
 public:
  explicit StoreI8(const GemmI8Tile& tile)
      : tile_(tile), range_(MakeAvx512Range(tile.range)), q_max_(MaxX64(tile.range)) {}

  PTQ_INLINE void operator()(const Block& block, size_t row) const {
    const __m512i q =
        PackX64(Rounded(Scaled(block, row, 0)), Rounded(Scaled(block, row, 16)),
                Rounded(Scaled(block, row + 1, 0)), Rounded(Scaled(block, row + 1, 16)), range_);
    StoreRows(block, row, tile_.output_stride, _mm512_min_epi8(q, q_max_), tile_.output_i8);
  }

 private:
  PTQ_INLINE __m512i Rounded(__m512 x) const {
    return kSmall ? _mm512_cvtps_epi32(x) : RoundX16(x, range_);
  }

  const GemmI8Tile& tile_;
  const Avx512Range range_;
  const __m512i q_max_;
};

// The same, plus the residual: what StoreI8 would store stays in registers.
class StoreAddedI8 {
 public:
  explicit StoreAddedI8(const GemmI8Tile& tile)
      : tile_(tile),
        add_(*tile.add),
        shift_(_mm512_set1_ps(kSumShiftValue)),
        lo_(_mm512_set1_epi32(kSumShift + static_cast<int32_t>(tile.range.lo))),
        hi_(_mm512_set1_epi32(kSumShift + static_cast<int32_t>(tile.range.hi))),
        a_multiplier_(_mm512_set1_ps(add_.a_multiplier)),
        b_zero_point_(_mm512_set1_epi32(add_.b_zero_point)),
        b_multiplier_(_mm512_set1_ps(add_.b_multiplier)),
        range_(MakeAvx512Range(add_.range)),
        q_max_(MaxX64(add_.range)) {}

  PTQ_INLINE void operator()(const Block& block, size_t row) const {
    const size_t stride = tile_.output_stride;
    const int8_t *b0 = add_.b + block.at + row * stride, *b1 = b0 + stride;
    int8_t copied[2][kNr];
    if (block.columns < kNr || row + 1 == block.rows) {
      const __mmask32 columns = ColumnMask(block.columns);
      _mm256_storeu_epi8(copied[0], _mm256_maskz_loadu_epi8(columns, b0));
      _mm256_storeu_epi8(copied[1],
                         _mm256_maskz_loadu_epi8(row + 1 < block.rows ? columns : 0, b1));
      b0 = copied[0];
      b1 = copied[1];
    }
    const __m512i q = PackX64(Sum(Scaled(block, row, 0), b0), Sum(Scaled(block, row, 16), b0 + 16),
                              Sum(Scaled(block, row + 1, 0), b1),
                              Sum(Scaled(block, row + 1, 16), b1 + 16), range_);
    StoreRows(block, row, stride, _mm512_min_epi8(q, q_max_), tile_.output_i8);
  }

 private:
  PTQ_INLINE __m512i Sum(__m512 x, const int8_t* b) const {
    // Adding the shift rounds x to an integer, and orders floats as their bits.
    const __m512i q = _mm512_castps_si512(_mm512_add_ps(x, shift_)),
                  bounded = _mm512_min_epi32(_mm512_max_epi32(q, lo_), hi_),
                  r = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b)));
    const __m512 a = _mm512_sub_ps(_mm512_castsi512_ps(bounded), shift_);  // less its zero point
    return _mm512_cvtps_epi32(_mm512_add_ps(
        _mm512_mul_ps(a, a_multiplier_),
        _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(r, b_zero_point_)), b_multiplier_)));
  }

  const GemmI8Tile& tile_;
  const BinaryI8Row& add_;
  const __m512 shift_;
  const __m512i lo_, hi_;
  const __m512 a_multiplier_;
  const __m512i b_zero_point_;
  const __m512 b_multiplier_;
  const Avx512Range range_;
  const __m512i q_max_;
};

class StoreF32 {
 public:
  explicit StoreF32(const GemmI8Tile& tile)
      : tile_(tile), lo_(_mm512_set1_ps(tile.lo)), hi_(_mm512_set1_ps(tile.hi)) {}

  PTQ_INLINE void operator()(const Block& block, size_t row) const {
    const size_t end = Min(row + 2, block.rows);
    for (; row < end; ++row) {
      float* y = tile_.output_f32 + block.at + row * tile_.output_stride;
      for (size_t j = 0; j < block.columns; j += 16) {
        const __m512 value = Scaled(block, row, j);
        _mm512_mask_storeu_ps(y + j, static_cast<__mmask16>(ColumnMask(block.columns) >> j),
                              _mm512_min_ps(hi_, _mm512_max_ps(lo_, value)));
      }
    }
  }

 private:
  const GemmI8Tile& tile_;
  const __m512 lo_, hi_;
};

template <typename Store>
PTQ_INLINE void StoreBlock(const Store& store, const Block& block) {
  for (size_t row = 0; row < block.rows; row += 2) store(block, row);
}

// Sums of 16 * kGroups pixels from `rows` on by one block of outputs.
template <size_t kGroups>
PTQ_INLINE void SumTiles(const GemmI8Tile& tile, const int8_t* const* rows, Prefetcher& prefetcher,
                         Copies& copies, Sums& sums) {
  _tile_zero(0);
  _tile_zero(1);
  if (kGroups == 2) {
    _tile_zero(2);
    _tile_zero(3);
  }
  RowCursor upper(tile, rows), lower(tile, rows + (kGroups - 1) * kTileRows);
  TileRows x0 = upper.Get(copies[0][0]), x1 = kGroups == 2 ? lower.Get(copies[0][1]) : x0;
  const int8_t* w = tile.weights;
  for (size_t step = 1, steps = BlockSteps(tile); step <= steps; ++step, w += kKd * kNr) {
    prefetcher.Step();
    const TileRows now0 = x0, now1 = x1;
    if (step < steps) {
      upper.Advance();
      x0 = upper.Get(copies[step % 2][0]);
      if (kGroups == 2) {
        lower.Advance();
        x1 = lower.Get(copies[step % 2][1]);
      }
    }
    _tile_loadd(4, now0.data, now0.step);
    _tile_loadd(6, w, 4 * kNr);
    _tile_dpbssd(0, 4, 6);
    _tile_loadd(7, w + 2 * kNr, 4 * kNr);
    _tile_dpbssd(1, 4, 7);
    if (kGroups == 1) continue;
    _tile_loadd(5, now1.data, now1.step);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_stored(0, sums[0], sizeof sums[0]);
  _tile_stored(1, sums[0] + 16, sizeof sums[0]);
  if (kGroups == 2) {
    _tile_stored(2, sums[kTileRows], sizeof sums[0]);
    _tile_stored(3, sums[kTileRows] + 16, sizeof sums[0]);
  }
}

template <typename Store>
void Run(const GemmI8Tile& tile) {
  _tile_loadconfig(&kTileConfig);
  const size_t steps =
      CeilDiv(tile.columns, kNr) * CeilDiv(tile.valid_rows, 2 * kTileRows) * BlockSteps(tile);
  Prefetcher prefetcher = {static_cast<const char*>(tile.next),
                           CeilDiv(tile.next_bytes, 64 * steps)};
  alignas(64) Copies copies;
  alignas(64) Sums sums[2];  // those of the tiles, and those that are being stored
  const Store store(tile);
  Block before = {};
  size_t column = 0, turn = 0;
  ForEachBlock<kNr, kKd>(tile, [&](const GemmI8Tile& block) {
    for (size_t row = 0; row < block.valid_rows; row += 2 * kTileRows, turn ^= 1) {
      const size_t count = Min(block.valid_rows - row, 2 * kTileRows);
      if (count > kTileRows) {
        SumTiles<2>(block, block.rows + row, prefetcher, copies, sums[turn]);
      } else {
        SumTiles<1>(block, block.rows + row, prefetcher, copies, sums[turn]);
      }
      StoreBlock(store, before);
      before = {&sums[turn], block.bias,   block.multiplier, column + row * tile.output_stride,
                count,       block.columns};
    }
    column += kNr;
  });
  StoreBlock(store, before);
  _tile_release();
}

}  // namespace

void gemm_i8_64x32__amx(const GemmI8Tile& tile) {
  if (tile.output_i8 == nullptr) {
    Run<StoreF32>(tile);
  } else if (tile.add != nullptr) {
    Run<StoreAddedI8>(tile);
  } else if (tile.small_results) {
    Run<StoreI8<true>>(tile);
  } else {
    Run<StoreI8<false>>(tile);
  }
}

}  // namespace ptq
