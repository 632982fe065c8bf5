// Walking the tiles of a transpose. Included once per instruction set.
#ifndef PTQ_KERNELS_MOVE_TILES_H_
#define PTQ_KERNELS_MOVE_TILES_H_

#include "base/math.h"
#include "kernels/move/contract.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

// One element at a time, for what lies beside the tiles.
template <typename T>
PTQ_INLINE void TransposeElements(const TransposeBlock& block, size_t row_begin,
                                  size_t column_begin) {
  const T* x = static_cast<const T*>(block.x);
  T* y = static_cast<T*>(block.y);
  for (size_t c = column_begin; c < block.columns; ++c) {
    for (size_t r = row_begin; r < block.rows; ++r)
      y[c * block.y_stride + r] = x[r * block.x_stride + c];
  }
}

// Calls tile(x, x_stride, y, y_stride) on tiles of kRows x kColumns. The last tiles of each
// direction begin early enough to be whole, and write some elements twice. A panel of all rows is
// as wide as a cache line.
template <typename T, size_t kRows, size_t kColumns, typename Tile>
PTQ_INLINE void ForTiles(const TransposeBlock& block, Tile tile) {
  if (block.rows < kRows || block.columns < kColumns) return TransposeElements<T>(block, 0, 0);
  constexpr size_t kLine = 64 / sizeof(T), kPanel = kLine > kColumns ? kLine : kColumns;
  const TransposeBlock b = block;  // a copy: stores to y cannot alias it
  const T* x = static_cast<const T*>(b.x);
  T* y = static_cast<T*>(b.y);
  for (size_t panel = 0; panel < b.columns; panel += kPanel) {
    const size_t panel_end = Min(panel + kPanel, b.columns);
    for (size_t row = 0; row < b.rows; row += kRows) {
      const size_t r = Min(row, b.rows - kRows);
      for (size_t column = panel; column < panel_end; column += kColumns) {
        const size_t c = Min(column, b.columns - kColumns);
        tile(x + r * b.x_stride + c, b.x_stride, y + c * b.y_stride + r, b.y_stride);
      }
    }
  }
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_MOVE_TILES_H_
