// Any number of rows as groups of few: a kernel is compiled for each number of rows that a group
// may have.
#ifndef PTQ_KERNELS_GEMM_ROWS_H_
#define PTQ_KERNELS_GEMM_ROWS_H_

#include <stddef.h>

#include "base/math.h"
#include "kernels/gemm/contract.h"

namespace ptq {

PTQ_INLINE void SkipRows(size_t rows, GemmF32Tile* tile) {
  tile->rows += rows;
  tile->output += rows * tile->output_stride;
}

PTQ_INLINE void SkipRows(size_t rows, GemmI8Tile* tile) {
  tile->rows += rows;
  if (tile->output_i8 != nullptr) {
    tile->output_i8 += rows * tile->output_stride;
  } else {
    tile->output_f32 += rows * tile->output_stride;
  }
}

// Calls Kernel::Rows<n>(tile) for the tile's n = valid_rows, at most kMost.
template <typename Kernel, size_t kMost, typename Tile>
PTQ_INLINE void RunRows(const Tile& tile) {
  if constexpr (kMost > 1) {
    if (tile.valid_rows < kMost) return RunRows<Kernel, kMost - 1>(tile);
  }
  Kernel::template Rows<kMost>(tile);
}

// Calls Kernel::Rows<n>(tile) for groups of nearly equal n, at most kMost: fewer calls by the
// operator than with tiles of kMost rows.
template <typename Kernel, size_t kMost, typename Tile>
PTQ_INLINE void RunRowGroups(Tile tile) {
  size_t rows = tile.valid_rows;
  for (size_t groups = CeilDiv(rows, kMost); groups != 0; --groups) {
    tile.valid_rows = CeilDiv(rows, groups);
    RunRows<Kernel, kMost>(tile);
    SkipRows(tile.valid_rows, &tile);
    rows -= tile.valid_rows;
  }
}

}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_ROWS_H_
