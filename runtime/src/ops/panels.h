// How much of a packed matrix a gemm kernel is given at a time: what stays in a cache while all
// rows stream past it.
#ifndef PTQ_OPS_PANELS_H_
#define PTQ_OPS_PANELS_H_

#include <stddef.h>

#include "base/math.h"

namespace ptq {

// In bytes.
#if defined(__x86_64__)
constexpr size_t kPanelBytes = 262144;  // streams from a second-level cache of 1 MB or more
#else
constexpr size_t kPanelBytes = 24576;  // stays in a first-level cache of 32 or 64 KB, beside input
#endif

// A kernel that copies its rows does so once for at least so many columns.
constexpr size_t kPackedRowColumns = 256;

// Of `blocks` of `nr` columns that take `block_bytes` each, those of a panel: at least one, and
// columns for at least `least_columns`.
inline size_t PanelBlocks(uint64_t block_bytes, size_t nr, size_t least_columns, size_t blocks) {
  const size_t fit = static_cast<size_t>(kPanelBytes / block_bytes);
  return Min(Max(fit, Max<size_t>(CeilDiv(least_columns, nr), 1)), blocks);
}

}  // namespace ptq

#endif  // PTQ_OPS_PANELS_H_
