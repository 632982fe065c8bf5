// Pooling, NHWC. A kernel computes all channels of one output pixel from pointers to the input
// pixels inside its window; pixels in the padding are not listed.
#ifndef PTQ_KERNELS_POOL_CONTRACT_H_
#define PTQ_KERNELS_POOL_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_list.h"
#include "numerics/half.h"
#include "numerics/requantize.h"

namespace ptq {

// T: float, or Half for kernels that take it as it is; those too add up an average in float.
template <typename T>
struct PoolRealPixel {
  const T* const* rows;  // [row_count], at least one, each to `channels` values
  size_t row_count, channels;
  float divisor;  // average: the number of elements counted
  T* output;
  float lo, hi;
};
using PoolF32Pixel = PoolRealPixel<float>;
using PoolF16Pixel = PoolRealPixel<Half>;

struct PoolI8Pixel {
  const int8_t* const* rows;
  size_t row_count, channels;
  int32_t bias;      // average: -zero_point_in * row_count
  float multiplier;  // average: s_in / (s_out * n)
  int8_t* output;
  OutputRange range;     // average
  int32_t q_min, q_max;  // maximum
};

template <typename T>
struct PoolRealKernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const PoolRealPixel<T>&);
};
using PoolF32Kernel = PoolRealKernel<float>;
using PoolF16Kernel = PoolRealKernel<Half>;

struct PoolI8Kernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const PoolI8Pixel&);
};

#define PTQ_ROWS "kernels/pool/kernels.inc"
#include "kernels/declare.inc"

}  // namespace ptq

#endif  // PTQ_KERNELS_POOL_CONTRACT_H_
