// What callers of copy kernels promise (contract.h), as checks.
#ifndef PTQ_KERNELS_COPY_CHECKS_H_
#define PTQ_KERNELS_COPY_CHECKS_H_

#include "kernels/checked.h"
#include "kernels/copy/contract.h"

namespace ptq {

inline void CheckCall(const CopyKernel& kernel, const RowCopy& p) {
  for (size_t row = 0; row < p.rows; ++row) {
    const ptrdiff_t r = static_cast<ptrdiff_t>(row);
    PTQ_REQUIRE(IsValid(p.x + r * p.x_stride, p.row_bytes));
    PTQ_REQUIRE(IsValid(p.y + r * p.y_stride, p.row_bytes));
  }
}

inline void CheckCall(const CopyKernel& kernel, const IndexedCopy& p) {
  PTQ_REQUIRE(IsValid(p.indices, p.count));
  PTQ_REQUIRE(IsValid(p.y, p.count * p.item_bytes));
  for (size_t i = 0; i < p.count; ++i)
    PTQ_REQUIRE(IsValid(p.x + p.indices[i] * p.item_bytes, p.item_bytes));
}

inline void CheckCall(const CopyKernel& kernel, const StridedCopy& p) {
  const uint8_t *x = static_cast<const uint8_t*>(p.x), *y = static_cast<const uint8_t*>(p.y);
  const ptrdiff_t size = static_cast<ptrdiff_t>(p.element_size);
  PTQ_REQUIRE(size == 1 || size == 4 || size == 8);
  PTQ_REQUIRE(IsValid(y, p.rows * p.count * p.element_size));
  for (size_t row = 0; row < p.rows && p.count > 0; ++row) {
    const ptrdiff_t first = static_cast<ptrdiff_t>(row) * p.x_stride,
                    last = first + static_cast<ptrdiff_t>(p.count - 1) * p.x_step;
    PTQ_REQUIRE(IsValid(x + first * size, p.element_size));
    PTQ_REQUIRE(IsValid(x + last * size, p.element_size));
  }
}

inline void CheckCall(const CopyKernel& kernel, const InterleavedCopy& p) {
  const uint8_t *x = static_cast<const uint8_t*>(p.x), *y = static_cast<const uint8_t*>(p.y);
  PTQ_REQUIRE(p.element_size == 1 || p.element_size == 4 || p.element_size == 8);
  PTQ_REQUIRE(IsValid(y, 2 * p.rows * p.count * p.element_size));
  for (size_t row = 0; row < p.rows; ++row) {
    for (size_t first : p.first) {
      const uint8_t* run = x + (row * p.x_stride + first) * p.element_size;
      PTQ_REQUIRE(IsValid(run, p.count * p.element_size));
    }
  }
}

}  // namespace ptq

#endif  // PTQ_KERNELS_COPY_CHECKS_H_
