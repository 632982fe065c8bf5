// What callers of pooling kernels promise (contract.h), as checks.
#ifndef PTQ_KERNELS_POOL_CHECKS_H_
#define PTQ_KERNELS_POOL_CHECKS_H_

#include "kernels/checked.h"
#include "kernels/pool/contract.h"

namespace ptq {

template <typename Kernel, typename Pixel>
void CheckPixel(const Kernel& kernel, const Pixel& pixel) {
  PTQ_REQUIRE(pixel.row_count >= 1);
  PTQ_REQUIRE(IsValid(pixel.rows, pixel.row_count));
  for (size_t i = 0; i < pixel.row_count; ++i) PTQ_REQUIRE(IsValid(pixel.rows[i], pixel.channels));
  PTQ_REQUIRE(IsValid(pixel.output, pixel.channels));
}

template <typename T>
void CheckCall(const PoolRealKernel<T>& kernel, const PoolRealPixel<T>& pixel) {
  CheckPixel(kernel, pixel);
  PTQ_REQUIRE(pixel.lo <= pixel.hi);
}

inline void CheckCall(const PoolI8Kernel& kernel, const PoolI8Pixel& pixel) {
  CheckPixel(kernel, pixel);
  PTQ_REQUIRE(pixel.q_min <= pixel.q_max && pixel.q_min >= -128 && pixel.q_max <= 127);
}

}  // namespace ptq

#endif  // PTQ_KERNELS_POOL_CHECKS_H_
