// The register tiles of the x86 kernels: rows of a tile by one or two vectors of a block's
// channels, one function for each number of rows, all accumulators in registers.
//
// Each file that includes this describes its vectors by a struct (`Isa`), which is in an unnamed
// namespace, so that what is made from these templates is the file's own:
//   kMr, kLanes                rows of a full tile; channels in a vector
//   float: Load, Set1, MultiplyAdd, Store(y, count, value)
//   int8:  kGroup, kCopy, ... see below
#ifndef PTQ_KERNELS_GEMM_REGISTER_TILE_H_
#define PTQ_KERNELS_GEMM_REGISTER_TILE_H_

#include <immintrin.h>
#include <string.h>

#include "base/math.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/contract.h"

namespace ptq {

constexpr size_t kUnroll = 4;  // steps per iteration of a main loop

// Walks over what a call was told to expect next, evenly, and brings it into the second-level
// cache.
struct Prefetcher {
  const char* next;
  size_t step;  // bytes per iteration, 0 if nothing is expected

  PTQ_INLINE void Step() {
    _mm_prefetch(next, _MM_HINT_T1);
    next += step;
  }
};

PTQ_INLINE Prefetcher MakePrefetcher(const void* next, size_t bytes, size_t iterations) {
  return {static_cast<const char*>(next), iterations == 0 ? 0 : CeilDiv(bytes, iterations)};
}

// The functions for a number of rows, by vectors - 1.
template <typename Function>
struct RowFunctions {
  Function by_vectors[2];
};

// ---- float ----

// Adds the products of input channel k, whose weights are at `w`.
template <typename Isa, size_t kRows, size_t kVectors, typename Vector>
PTQ_INLINE void StepF32(const float* const (&x)[kRows], size_t k, const float* w,
                        Vector (&sum)[kRows][kVectors]) {
  Vector weights[kVectors];
#pragma unroll
  for (size_t v = 0; v < kVectors; ++v) weights[v] = Isa::Load(w + v * Isa::kLanes);
#pragma unroll
  for (size_t i = 0; i < kRows; ++i) {
    const Vector value = Isa::Set1(x[i][k]);
#pragma unroll
    for (size_t v = 0; v < kVectors; ++v) {
      sum[i][v] = Isa::MultiplyAdd(value, weights[v], sum[i][v]);
    }
  }
}

// Adds the products of one tap and returns the weights of the next one.
template <typename Isa, bool kPrefetch, size_t kRows, size_t kVectors, typename Vector>
PTQ_INLINE const float* TapF32(const float* const* rows, size_t depth, const float* w,
                               Prefetcher& prefetcher, Vector (&sum)[kRows][kVectors]) {
  constexpr size_t kNr = 2 * Isa::kLanes;
  const float* x[kRows];
#pragma unroll
  for (size_t i = 0; i < kRows; ++i) x[i] = rows[i];
  size_t k = 0;
  for (; k + kUnroll <= depth; k += kUnroll, w += kUnroll * kNr) {
    if (kPrefetch) prefetcher.Step();
#pragma unroll
    for (size_t i = 0; i < kUnroll; ++i) StepF32<Isa>(x, k + i, w + i * kNr, sum);
  }
  for (; k < depth; ++k, w += kNr) StepF32<Isa>(x, k, w, sum);
  return w;
}

// kRows pixels by kVectors vectors of channels of one block.
template <typename Isa, size_t kRows, size_t kVectors>
void BlockF32(const GemmF32Tile& tile, Prefetcher& prefetcher) {
  typename Isa::Vector sum[kRows][kVectors];
#pragma unroll
  for (size_t i = 0; i < kRows; ++i) {
#pragma unroll
    for (size_t v = 0; v < kVectors; ++v) sum[i][v] = Isa::Load(tile.bias + v * Isa::kLanes);
  }
  const float* w = tile.weights;
  const float* const* rows = tile.rows;
  for (size_t tap = 0; tap < tile.taps; ++tap, rows += Isa::kMr) {
    // A prefetch costs the loop some per cent: only where there is something to bring.
    w = prefetcher.step != 0 ? TapF32<Isa, true>(rows, tile.depth, w, prefetcher, sum)
                             : TapF32<Isa, false>(rows, tile.depth, w, prefetcher, sum);
  }
  const auto lo = Isa::Set1(tile.lo), hi = Isa::Set1(tile.hi);
  float* y = tile.output;
#pragma unroll
  for (size_t i = 0; i < kRows; ++i, y += tile.output_stride) {
#pragma unroll
    for (size_t v = 0; v < kVectors; ++v) {
      Isa::Store(y + v * Isa::kLanes, tile.columns - v * Isa::kLanes,
                 Isa::Clamp(sum[i][v], lo, hi));
    }
  }
}

using BlockFunctionF32 = void (*)(const GemmF32Tile&, Prefetcher&);

template <typename Isa, size_t kRows = Isa::kMr>
PTQ_INLINE RowFunctions<BlockFunctionF32> SelectF32(size_t rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return SelectF32<Isa, kRows - 1>(rows);
  }
  return {{BlockF32<Isa, kRows, 1>, BlockF32<Isa, kRows, 2>}};
}

template <typename Isa>
PTQ_INLINE void RunF32(const GemmF32Tile& tile) {
  constexpr size_t kNr = 2 * Isa::kLanes;
  const RowFunctions<BlockFunctionF32> functions = SelectF32<Isa>(tile.valid_rows);
  const size_t iterations = CeilDiv(tile.columns, kNr) * tile.taps * (tile.depth / kUnroll);
  Prefetcher prefetcher = MakePrefetcher(tile.next, tile.next_bytes, iterations);
  ForEachBlock<kNr>(tile, [&functions, &prefetcher](const GemmF32Tile& block) {
    functions.by_vectors[block.columns > Isa::kLanes ? 1 : 0](block, prefetcher);
  });
}

// ---- int8 ----
//
// A tile's rows are copied once for all blocks of a call, all taps one after another and in the
// form that the dot product takes: kGroup channels of a pixel in four bytes. The copies lie at
// constant distances: the loop needs one register for all rows, and knows no taps.
//
//   kGroup            channels whose products one lane adds at a time: kr and kd of the packing
//   Copy(x, to)       kCopy channels, 4 / kGroup bytes for each
//   LoadSums, LoadWeights, Set1, MultiplyAdd
//   StoreI8(tile, sum), StoreF32(tile, sum)

constexpr size_t kSegment = 2304;              // bytes of a row that are copied at a time
constexpr size_t kRowStride = kSegment + 128;  // not a power of two; copies run over by up to 63

// Bytes that a copied row takes.
template <typename Isa>
PTQ_INLINE size_t CopiedBytes(size_t taps, size_t depth) {
  return taps * CeilDiv(depth, Isa::kGroup) * 4;
}

// Bytes [begin, end) of the copied rows; both are multiples of four.
template <typename Isa>
PTQ_INLINE void CopyRows(const GemmI8Tile& tile, size_t rows, size_t begin, size_t end,
                         uint8_t* copied) {
  constexpr size_t kWidth = 4 / Isa::kGroup;  // bytes per channel
  const size_t tap_bytes = CopiedBytes<Isa>(1, tile.depth);
  size_t tap = begin / tap_bytes, at = begin % tap_bytes;
  for (size_t left = end - begin; left > 0; ++tap, at = 0) {
    const size_t bytes = Min(tap_bytes - at, left);
    for (size_t i = 0; i < rows; ++i) {
      const int8_t* x = tile.rows[tap * Isa::kMr + i] + at / kWidth;
      uint8_t* to = copied + i * kRowStride;
      for (size_t done = 0; done < bytes; done += Isa::kCopy * kWidth, x += Isa::kCopy) {
        Isa::Copy(x, to + done);
      }
    }
    copied += bytes;
    left -= bytes;
  }
}

template <typename Isa, size_t kRows, size_t kVectors, typename Vector>
PTQ_INLINE void StepI8(const uint8_t* x, const int8_t* w, Vector (&sum)[kRows][kVectors]) {
  // Keeps the loads of later steps behind this one: hoisted, they cost more registers than there
  // are.
  __asm__ volatile("" : : : "memory");
  Vector weights[kVectors];
#pragma unroll
  for (size_t v = 0; v < kVectors; ++v) {
    weights[v] = Isa::LoadWeights(w + v * Isa::kGroup * Isa::kLanes);
  }
#pragma unroll
  for (size_t i = 0; i < kRows; ++i) {
    int32_t group;
    memcpy(&group, x + i * kRowStride, sizeof group);
    const Vector value = Isa::Set1(group);
#pragma unroll
    for (size_t v = 0; v < kVectors; ++v) {
      sum[i][v] = Isa::MultiplyAdd(value, weights[v], sum[i][v]);
    }
  }
}

// Adds the products of `count` copied bytes of each row and returns the weights behind them.
template <typename Isa, bool kPrefetch, size_t kRows, size_t kVectors, typename Vector>
PTQ_INLINE const int8_t* SegmentI8(const uint8_t* x, size_t count, const int8_t* w,
                                   Prefetcher& prefetcher, Vector (&sum)[kRows][kVectors]) {
  constexpr size_t kStep = Isa::kGroup * 2 * Isa::kLanes;  // weights
  const uint8_t* end = x + count;
  for (; x + 4 * kUnroll <= end; x += 4 * kUnroll, w += kUnroll * kStep) {
    if (kPrefetch) prefetcher.Step();
#pragma unroll
    for (size_t i = 0; i < kUnroll; ++i) StepI8<Isa>(x + 4 * i, w + i * kStep, sum);
  }
  for (; x < end; x += 4, w += kStep) StepI8<Isa>(x, w, sum);
  return w;
}

// `copied`: the rows, if they fit in one segment; room for a segment of them otherwise.
template <typename Isa, size_t kRows, size_t kVectors>
void BlockI8(const GemmI8Tile& tile, uint8_t* copied, Prefetcher& prefetcher) {
  typename Isa::Vector sum[kRows][kVectors];
#pragma unroll
  for (size_t i = 0; i < kRows; ++i) {
#pragma unroll
    for (size_t v = 0; v < kVectors; ++v) sum[i][v] = Isa::LoadSums(tile.bias + v * Isa::kLanes);
  }
  const size_t bytes = CopiedBytes<Isa>(tile.taps, tile.depth);
  const int8_t* w = tile.weights;
  for (size_t begin = 0; begin < bytes; begin += kSegment) {
    const size_t count = Min(kSegment, bytes - begin);
    if (bytes > kSegment) CopyRows<Isa>(tile, kRows, begin, begin + count, copied);
    w = prefetcher.step != 0 ? SegmentI8<Isa, true>(copied, count, w, prefetcher, sum)
                             : SegmentI8<Isa, false>(copied, count, w, prefetcher, sum);
  }
  if (tile.output_i8 != nullptr) {
    Isa::StoreI8(tile, sum);
  } else {
    Isa::StoreF32(tile, sum);
  }
}

using BlockFunctionI8 = void (*)(const GemmI8Tile&, uint8_t*, Prefetcher&);

template <typename Isa, size_t kRows = Isa::kMr>
PTQ_INLINE RowFunctions<BlockFunctionI8> SelectI8(size_t rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return SelectI8<Isa, kRows - 1>(rows);
  }
  return {{BlockI8<Isa, kRows, 1>, BlockI8<Isa, kRows, 2>}};
}

template <typename Isa>
PTQ_INLINE void RunI8(const GemmI8Tile& tile) {
  constexpr size_t kNr = 2 * Isa::kLanes;
  const RowFunctions<BlockFunctionI8> functions = SelectI8<Isa>(tile.valid_rows);
  alignas(64) uint8_t copied[Isa::kMr * kRowStride];
  const size_t bytes = CopiedBytes<Isa>(tile.taps, tile.depth);
  if (bytes <= kSegment) CopyRows<Isa>(tile, tile.valid_rows, 0, bytes, copied);
  const size_t iterations = CeilDiv(tile.columns, kNr) * (bytes / 4 / kUnroll);
  Prefetcher prefetcher = MakePrefetcher(tile.next, tile.next_bytes, iterations);
  ForEachBlock<kNr, Isa::kGroup>(tile, [&functions, &copied, &prefetcher](const GemmI8Tile& block) {
    functions.by_vectors[block.columns > Isa::kLanes ? 1 : 0](block, copied, prefetcher);
  });
}

}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_REGISTER_TILE_H_
