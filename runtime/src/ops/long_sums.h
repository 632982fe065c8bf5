// Float sums of many products: a tile of a gemm is computed in pieces of its products, and the
// pieces are added up, so that the error does not grow with their number (docs/numerics.md).
#ifndef PTQ_OPS_LONG_SUMS_H_
#define PTQ_OPS_LONG_SUMS_H_

#include <math.h>

#include "base/math.h"
#include "numerics/sum_blocks.h"
#include "ops/conv_state.h"

namespace ptq {

// What the sums of a gemm need that is cut as `cut`, after the operator has taken its workspace's
// beginning.
inline ptq_status PrepareLongSums(uint32_t features, const GemmBlocks& cut, PreparedOp* op,
                                  LongSums<float>* sums) {
  const size_t columns = cut.PanelColumns();
  if (cut.packed_products > kProductBlock) {
    sums->add = SelectForOp(kBinaryF32Kernels, kAdd, features);
    sums->piece_offset = op->TakeWorkspace(uint64_t{sizeof(float)} * cut.mr * columns);
  }
  return sums->zeros.Allocate(columns);
}

// What the pieces of a tile go through.
struct LongSum {
  const GemmF32Kernel* kernel;
  const BinaryF32Kernel* add;
  const float* zeros;  // [columns rounded up to nr]
  float* piece;        // [valid_rows][columns]
};

// Runs a tile's products [begin, begin + tile.taps * tile.depth) of all `products`; the first make
// the output, others are added to it, and it is clamped with the last.
inline void RunPiece(const LongSum& sum, const GemmF32Tile& whole, size_t begin, GemmF32Tile tile) {
  const size_t count = tile.taps * tile.depth;
  const bool first = begin == 0, last = begin + count == whole.products;
  tile.weights = whole.weights + begin * sum.kernel->nr;
  // Its share of what the kernel brings into the cache.
  const auto next = [&](size_t products) {
    return static_cast<size_t>(uint64_t{whole.next_bytes} * products / whole.products);
  };
  tile.next = static_cast<const uint8_t*>(whole.next) + next(begin);
  tile.next_bytes = next(begin + count) - next(begin);
  tile.lo = -INFINITY;
  tile.hi = INFINITY;
  if (!first) {
    tile.bias = sum.zeros;
    tile.output = sum.piece;
    tile.output_stride = tile.columns;
  }
  sum.kernel->run(tile);
  if (first) return;
  for (size_t i = 0; i < tile.valid_rows; ++i) {
    float* y = whole.output + i * whole.output_stride;
    sum.add->run({y, sum.piece + i * tile.columns, 1, 1, y, tile.columns,
                  last ? whole.lo : -INFINITY, last ? whole.hi : INFINITY});
  }
}

// Runs a tile of more than kProductBlock products. `rows`: those of the tile, which are moved.
inline void RunLongSum(const LongSum& sum, const GemmF32Tile& whole, const float** rows) {
  const size_t mr = sum.kernel->mr, depth = whole.depth,
               taps = Max<size_t>(kProductBlock / depth, 1);
  GemmF32Tile tile = whole;
  for (size_t tap = 0; tap < whole.taps; tap += taps) {
    tile.rows = rows + tap * mr;
    tile.taps = Min(taps, whole.taps - tap);
    for (size_t k = 0; k < depth; k += tile.depth) {
      tile.depth = Min(kProductBlock, depth - k);  // all of it, or there is one tap
      RunPiece(sum, whole, tap * depth + k, tile);
      for (size_t i = 0; tile.depth < depth && i < mr; ++i) rows[tap * mr + i] += tile.depth;
    }
  }
}

// Runs a tile of an operator's gemm, whichever way. `rows`: those of the tile, which may be moved.
inline void RunTile(const LongSums<float>& sums, const GemmF32Kernel& kernel,
                    const GemmF32Tile& tile, const float** rows, uint8_t* workspace) {
  if (sums.add == nullptr) return kernel.run(tile);
  float* piece = reinterpret_cast<float*>(workspace + sums.piece_offset);
  RunLongSum({&kernel, sums.add, sums.zeros.data(), piece}, tile, rows);
}

}  // namespace ptq

#endif  // PTQ_OPS_LONG_SUMS_H_
