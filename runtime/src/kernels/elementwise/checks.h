// What callers of elementwise kernels promise (contract.h), as checks.
#ifndef PTQ_KERNELS_ELEMENTWISE_CHECKS_H_
#define PTQ_KERNELS_ELEMENTWISE_CHECKS_H_

#include "kernels/checked.h"
#include "kernels/elementwise/contract.h"

namespace ptq {

template <typename Kernel, typename Row>
void CheckOperands(const Kernel& kernel, const Row& row) {
  PTQ_REQUIRE(row.a_step <= 1 && row.b_step <= 1);
  if (row.count == 0) return;
  PTQ_REQUIRE(IsValid(row.a, row.a_step == 0 ? 1 : row.count));
  PTQ_REQUIRE(IsValid(row.b, row.b_step == 0 ? 1 : row.count));
  PTQ_REQUIRE(IsValid(row.y, row.count));
}

template <typename T>
void CheckCall(const BinaryRealKernel<T>& kernel, const BinaryRealRow<T>& row) {
  CheckOperands(kernel, row);
  PTQ_REQUIRE(row.lo <= row.hi);
}

inline void CheckCall(const BinaryI8Kernel& kernel, const BinaryI8Row& row) {
  CheckOperands(kernel, row);
  PTQ_REQUIRE(AreMultipliers(&row.a_multiplier, 1) && AreMultipliers(&row.b_multiplier, 1));
  PTQ_REQUIRE(IsRange(row.range));
}

template <typename T>
void CheckCall(const ClampRealKernel<T>& kernel, const T* x, T* y, size_t count, float lo,
               float hi) {
  PTQ_REQUIRE(IsValid(x, count));
  PTQ_REQUIRE(IsValid(y, count));
  PTQ_REQUIRE(lo <= hi);
}

}  // namespace ptq

#endif  // PTQ_KERNELS_ELEMENTWISE_CHECKS_H_
