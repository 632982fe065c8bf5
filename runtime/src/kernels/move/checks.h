// What callers of transpose kernels promise (contract.h), as checks.
#ifndef PTQ_KERNELS_MOVE_CHECKS_H_
#define PTQ_KERNELS_MOVE_CHECKS_H_

#include "kernels/checked.h"
#include "kernels/move/contract.h"

namespace ptq {

inline void CheckCall(const TransposeKernel& kernel, const TransposeBlock& block) {
  const size_t size = kernel.element_size;
  const uint8_t *x = static_cast<const uint8_t*>(block.x), *y = static_cast<uint8_t*>(block.y);
  const size_t x_bytes = Extent(block.rows, block.columns, block.x_stride) * size,
               y_bytes = Extent(block.columns, block.rows, block.y_stride) * size;
  PTQ_REQUIRE(block.rows <= 1 || block.x_stride >= block.columns);
  PTQ_REQUIRE(block.columns <= 1 || block.y_stride >= block.rows);
  PTQ_REQUIRE(IsValid(x, x_bytes));
  PTQ_REQUIRE(IsValid(y, y_bytes));
  PTQ_REQUIRE(x + x_bytes <= y || y + y_bytes <= x);
}

}  // namespace ptq

#endif  // PTQ_KERNELS_MOVE_CHECKS_H_
