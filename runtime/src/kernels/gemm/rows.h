// A kernel compiled for each number of rows that a tile may have.
#ifndef PTQ_KERNELS_GEMM_ROWS_H_
#define PTQ_KERNELS_GEMM_ROWS_H_

#include <stddef.h>

#include "base/math.h"

namespace ptq {

// Calls Kernel::Rows<n>(tile) for the tile's n = valid_rows, at most kMost.
template <typename Kernel, size_t kMost, typename Tile>
PTQ_INLINE void RunRows(const Tile& tile) {
  if constexpr (kMost > 1) {
    if (tile.valid_rows < kMost) return RunRows<Kernel, kMost - 1>(tile);
  }
  Kernel::template Rows<kMost>(tile);
}

}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_ROWS_H_
