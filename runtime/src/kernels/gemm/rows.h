// Any number of rows as groups of few: a kernel is compiled for each number of rows that a group
// may have.
#ifndef PTQ_KERNELS_GEMM_ROWS_H_
#define PTQ_KERNELS_GEMM_ROWS_H_

#include <stddef.h>

#include "base/math.h"
#include "kernels/gemm/contract.h"

namespace ptq {

template <typename T>
PTQ_INLINE void SkipRows(size_t rows, GemmRealTile<T>* tile) {
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

// Calls Kernel::Rows<n>(tile, groups) for n = group_rows, at most kMost.
template <typename Kernel, size_t kMost, typename Tile>
PTQ_INLINE void RunGroups(const Tile& tile, size_t group_rows, size_t groups) {
  if constexpr (kMost > 1) {
    if (group_rows < kMost) return RunGroups<Kernel, kMost - 1>(tile, group_rows, groups);
  }
  Kernel::template Rows<kMost>(tile, groups);
}

// Cuts the tile into groups of nearly equal size, at most kMost rows: those of n + 1 rows first,
// then those of n.
template <typename Kernel, size_t kMost, typename Tile>
PTQ_INLINE void RunRowGroups(const Tile& tile) {
  const size_t groups = CeilDiv(tile.valid_rows, kMost), rows = tile.valid_rows / groups,
               larger = tile.valid_rows - rows * groups;
  if (larger == 0) return RunGroups<Kernel, kMost>(tile, rows, groups);
  RunGroups<Kernel, kMost>(tile, rows + 1, larger);
  Tile rest = tile;
  SkipRows((rows + 1) * larger, &rest);
  RunGroups<Kernel, kMost>(rest, rows, groups - larger);
}

}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_ROWS_H_
