// Dequantization in plain loops, which compilers vectorise. Included once per instruction set.
#ifndef PTQ_KERNELS_CONVERT_PLAIN_H_
#define PTQ_KERNELS_CONVERT_PLAIN_H_

#include "base/math.h"
#include "kernels/convert/contract.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

PTQ_INLINE void Dequantize(const int8_t* x, float* y, size_t count, float scale,
                           int32_t zero_point) {
  for (size_t i = 0; i < count; ++i) y[i] = static_cast<float>(x[i] - zero_point) * scale;
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_CONVERT_PLAIN_H_
