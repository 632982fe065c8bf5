// What callers of resize kernels promise (contract.h), as checks.
#ifndef PTQ_KERNELS_RESIZE_CHECKS_H_
#define PTQ_KERNELS_RESIZE_CHECKS_H_

#include "kernels/checked.h"
#include "kernels/resize/contract.h"

namespace ptq {

inline void CheckCall(const ResizeF32Kernel& kernel, const ResizeF32Row& row) {
  PTQ_REQUIRE(IsValid(row.columns, row.count));
  for (size_t i = 0; i < row.count; ++i) {
    const size_t before = row.columns[i].before * row.channels,
                 behind = row.columns[i].behind * row.channels;
    PTQ_REQUIRE(IsValid(row.top + before, row.channels));
    PTQ_REQUIRE(IsValid(row.top + behind, row.channels));
    PTQ_REQUIRE(IsValid(row.bottom + before, row.channels));
    PTQ_REQUIRE(IsValid(row.bottom + behind, row.channels));
  }
  PTQ_REQUIRE(IsValid(row.y, row.count * row.channels));
  PTQ_REQUIRE(row.lo <= row.hi);
}

}  // namespace ptq

#endif  // PTQ_KERNELS_RESIZE_CHECKS_H_
