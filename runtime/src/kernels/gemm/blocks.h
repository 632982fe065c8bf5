// Any number of output channels as blocks of nr.
#ifndef PTQ_KERNELS_GEMM_BLOCKS_H_
#define PTQ_KERNELS_GEMM_BLOCKS_H_

#include "base/math.h"
#include "kernels/gemm/contract.h"

namespace ptq {

// Calls block(tile) for each block of a float tile, with at most kNr columns.
template <size_t kNr, typename Block>
PTQ_INLINE void ForEachBlock(GemmF32Tile tile, Block block) {
  for (size_t left = tile.columns;; left -= kNr) {
    tile.columns = Min(left, kNr);
    block(tile);
    if (left <= kNr) return;
    tile.weights += tile.products * kNr;
    tile.bias += kNr;
    tile.output += kNr;
  }
}

// The same for int8; kKd is the kernel's kd.
template <size_t kNr, size_t kKd, typename Block>
PTQ_INLINE void ForEachBlock(GemmI8Tile tile, Block block) {
  for (size_t left = tile.columns;; left -= kNr) {
    tile.columns = Min(left, kNr);
    block(tile);
    if (left <= kNr) return;
    tile.weights += tile.taps * CeilDiv(tile.depth, kKd) * kKd * kNr;
    tile.bias += kNr;
    tile.multiplier += kNr;
    if (tile.output_i8 != nullptr) {
      tile.output_i8 += kNr;
    } else {
      tile.output_f32 += kNr;
    }
  }
}

}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_BLOCKS_H_
