// What callers of arg_max kernels promise (contract.h), as checks.
#ifndef PTQ_KERNELS_ARG_MAX_CHECKS_H_
#define PTQ_KERNELS_ARG_MAX_CHECKS_H_

#include "kernels/arg_max/contract.h"
#include "kernels/checked.h"

namespace ptq {

template <typename T>
void CheckCall(const ArgMaxKernel<T>& kernel, const ArgMaxColumns<T>& p) {
  PTQ_REQUIRE(p.rows >= 1);
  PTQ_REQUIRE(p.rows == 1 || p.row_stride >= p.columns);
  PTQ_REQUIRE(IsValid(p.x, Extent(p.rows, p.columns, p.row_stride)));
  PTQ_REQUIRE(IsValid(p.y, p.columns));
}

template <typename T>
void CheckCall(const ArgMaxKernel<T>& kernel, const ArgMaxRows<T>& p) {
  PTQ_REQUIRE(p.count >= 1);
  PTQ_REQUIRE(IsValid(p.x, p.rows * p.count));
  PTQ_REQUIRE(IsValid(p.y, p.rows));
}

}  // namespace ptq

#endif  // PTQ_KERNELS_ARG_MAX_CHECKS_H_
