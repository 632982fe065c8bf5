// What callers of softmax kernels promise (contract.h), as checks.
#ifndef PTQ_KERNELS_SOFTMAX_CHECKS_H_
#define PTQ_KERNELS_SOFTMAX_CHECKS_H_

#include "kernels/checked.h"
#include "kernels/softmax/contract.h"

namespace ptq {

inline void CheckCall(const SoftmaxKernel& kernel, const float* x, float* y, size_t count,
                      size_t stride) {
  PTQ_REQUIRE(count >= 1 && stride >= 1);
  PTQ_REQUIRE(IsValid(x, Extent(count, 1, stride)));
  PTQ_REQUIRE(IsValid(y, Extent(count, 1, stride)));
}

}  // namespace ptq

#endif  // PTQ_KERNELS_SOFTMAX_CHECKS_H_
