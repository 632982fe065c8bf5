// Float sums of many products: a tile of a gemm is computed in pieces of its products, and the
// pieces are added up, so that neither the error grows with their number (docs/numerics.md) nor
// what a kernel needs beside.
#ifndef PTQ_OPS_LONG_SUMS_H_
#define PTQ_OPS_LONG_SUMS_H_

#include <math.h>

#include "base/math.h"
#include "numerics/sum_blocks.h"
#include "ops/conv_state.h"

namespace ptq {

inline const KernelList<BinaryF32Kernel>& BinaryKernels(float) { return kBinaryF32Kernels; }
inline const KernelList<BinaryF16Kernel>& BinaryKernels(Half) { return kBinaryF16Kernels; }

// Of `products` in a sum, those that a call of a kernel is given, at most.
inline size_t ProductsAtATime(size_t products) { return Min(products, kProductBlock); }

// What the sums of a gemm need that is cut as `cut`, after the operator has taken its workspace's
// beginning.
template <typename T>
ptq_status PrepareLongSums(uint32_t features, const GemmBlocks& cut, PreparedOp* op,
                           LongSums<T>* sums) {
  const size_t columns = cut.PanelColumns();
  if (cut.packed_products > kProductBlock) {
    sums->add = SelectForOp(BinaryKernels(T{}), kAdd, features);
    sums->piece_offset = op->TakeWorkspace(uint64_t{sizeof(T)} * cut.mr * columns);
  }
  return sums->zeros.Allocate(columns);
}

// What the pieces of a tile go through.
template <typename T>
struct LongSum {
  const GemmRealKernel<T>* kernel;
  const BinaryRealKernel<T>* add;
  const T* zeros;  // [columns rounded up to nr]
  T* piece;        // [valid_rows][columns]
};

template <typename T>
LongSum<T> MakeLongSum(const LongSums<T>& sums, const GemmRealKernel<T>& kernel,
                       uint8_t* workspace) {
  return {&kernel, sums.add, sums.zeros.data(),
          reinterpret_cast<T*>(workspace + sums.piece_offset)};
}

// Runs a tile's products [begin, begin + tile.taps * tile.depth) of all whole.products; the first
// make the output, others are added to it, and it is clamped with the last. `tile` has the rows and
// weights of these products, `whole` the output of all.
template <typename T>
void RunPiece(const LongSum<T>& sum, const GemmRealTile<T>& whole, size_t begin,
              GemmRealTile<T> tile) {
  const size_t count = tile.taps * tile.depth;
  const bool first = begin == 0, last = begin + count == whole.products;
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
    T* y = whole.output + i * whole.output_stride;
    sum.add->run({y, sum.piece + i * tile.columns, 1, 1, y, tile.columns,
                  last ? whole.lo : -INFINITY, last ? whole.hi : INFINITY});
  }
}

// Runs a tile of more than kProductBlock products. `rows`: those of the tile, which are moved.
template <typename T>
void RunLongSum(const LongSum<T>& sum, const GemmRealTile<T>& whole, const T** rows) {
  const size_t mr = sum.kernel->mr, depth = whole.depth,
               taps = Max<size_t>(kProductBlock / depth, 1);
  GemmRealTile<T> tile = whole;
  for (size_t tap = 0; tap < whole.taps; tap += taps) {
    tile.rows = rows + tap * mr;
    tile.taps = Min(taps, whole.taps - tap);
    for (size_t k = 0; k < depth; k += tile.depth) {
      tile.depth = Min(kProductBlock, depth - k);  // all of it, or there is one tap
      const size_t begin = tap * depth + k;
      tile.weights = whole.weights + begin * sum.kernel->nr;
      RunPiece(sum, whole, begin, tile);
      for (size_t i = 0; tile.depth < depth && i < mr; ++i) rows[tap * mr + i] += tile.depth;
    }
  }
}

// Runs a tile of an operator's gemm, whichever way. `rows`: those of the tile, which may be moved.
template <typename T>
void RunTile(const LongSums<T>& sums, const GemmRealKernel<T>& kernel, const GemmRealTile<T>& tile,
             const T** rows, uint8_t* workspace) {
  if (sums.add == nullptr) return kernel.run(tile);
  RunLongSum(MakeLongSum(sums, kernel, workspace), tile, rows);
}

}  // namespace ptq

#endif  // PTQ_OPS_LONG_SUMS_H_
