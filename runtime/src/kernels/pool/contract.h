// Pooling, NHWC. A kernel computes all channels of one output pixel from pointers to the input
// pixels inside its window; pixels in the padding are not listed.
#ifndef PTQ_KERNELS_POOL_CONTRACT_H_
#define PTQ_KERNELS_POOL_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "numerics/requantize.h"

namespace ptq {

struct PoolF32Pixel {
  const float* const* rows;  // [row_count], at least one, each to `channels` values
  size_t row_count, channels;
  float divisor;  // average: the number of elements counted
  float* output;
  float lo, hi;
};

struct PoolI8Pixel {
  const int8_t* const* rows;
  size_t row_count, channels;
  int32_t bias;      // average: -zero_point_in * row_count
  float multiplier;  // average: s_in / (s_out * n)
  int8_t* output;
  OutputRange range;     // average
  int32_t q_min, q_max;  // maximum
};

struct PoolF32Kernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const PoolF32Pixel&);
};

struct PoolI8Kernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const PoolI8Pixel&);
};

extern const PoolF32Kernel kMaxPoolF32Kernels[], kAveragePoolF32Kernels[];
extern const size_t kMaxPoolF32KernelCount, kAveragePoolF32KernelCount;
extern const PoolI8Kernel kMaxPoolI8Kernels[], kAveragePoolI8Kernels[];
extern const size_t kMaxPoolI8KernelCount, kAveragePoolI8KernelCount;

// One file per instruction set.
void max_pool_f32_1x16__scalar(const PoolF32Pixel& pixel);
void average_pool_f32_1x16__scalar(const PoolF32Pixel& pixel);
void max_pool_i8_1x64__scalar(const PoolI8Pixel& pixel);
void average_pool_i8_1x32__scalar(const PoolI8Pixel& pixel);
void max_pool_f32_1x32__avx2(const PoolF32Pixel& pixel);
void average_pool_f32_1x32__avx2(const PoolF32Pixel& pixel);
void max_pool_i8_1x128__avx2(const PoolI8Pixel& pixel);
void average_pool_i8_1x64__avx2(const PoolI8Pixel& pixel);
void max_pool_f32_1x64__avx512vnni(const PoolF32Pixel& pixel);
void average_pool_f32_1x64__avx512vnni(const PoolF32Pixel& pixel);
void max_pool_i8_1x256__avx512vnni(const PoolI8Pixel& pixel);
void average_pool_i8_1x128__avx512vnni(const PoolI8Pixel& pixel);

}  // namespace ptq

#endif  // PTQ_KERNELS_POOL_CONTRACT_H_
