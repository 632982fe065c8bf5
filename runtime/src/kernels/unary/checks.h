// What callers of unary kernels promise (contract.h), as checks.
#ifndef PTQ_KERNELS_UNARY_CHECKS_H_
#define PTQ_KERNELS_UNARY_CHECKS_H_

#include "kernels/checked.h"
#include "kernels/unary/contract.h"

namespace ptq {

template <typename T>
void CheckCall(const UnaryRealKernel<T>& kernel, const UnaryRealRow<T>& row) {
  PTQ_REQUIRE(IsValid(row.x, row.count));
  PTQ_REQUIRE(IsValid(row.y, row.count));
  PTQ_REQUIRE(row.lo <= row.hi);
}

}  // namespace ptq

#endif  // PTQ_KERNELS_UNARY_CHECKS_H_
