// x / scale, as docs/numerics.md quantizes, without a division where that is certain to make no
// difference: with r = 1 / scale, |x * r - x / scale| <= |x * r| * 3 * 2^-24 where every operation
// is rounded. That is below 0.0001 up to 512, and beyond it everything saturates. So where x * r is
// at least 0.0001 away from the middle between two integers, both round to the same integer; the
// others, two of ten thousand, are divided.
#ifndef PTQ_KERNELS_CONVERT_RECIPROCAL_H_
#define PTQ_KERNELS_CONVERT_RECIPROCAL_H_

#include "base/math.h"

namespace ptq {

// x * r must be less than this from the nearest integer.
constexpr float kSureDistance = 0.4999f;

// NaN, whose products are not sure, for scales so far from 1 that r or a product could underflow.
PTQ_INLINE float SureReciprocal(float scale) {
  return scale >= 0x1p-100f && scale <= 0x1p100f ? 1.0f / scale : __builtin_nanf("");
}

}  // namespace ptq

#endif  // PTQ_KERNELS_CONVERT_RECIPROCAL_H_
