// Pooling, NHWC. A kernel computes all channels of one output pixel from pointers to the input
// pixels inside its window; pixels in the padding are not listed.
#ifndef PTQ_KERNELS_POOL_CONTRACT_H_
#define PTQ_KERNELS_POOL_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

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

extern const PoolF32Kernel kMaxPoolF32Kernels[], kAveragePoolF32Kernels[];
extern const size_t kMaxPoolF32KernelCount, kAveragePoolF32KernelCount;
// Only for CPUs that compute in half precision; null where there are none.
extern const PoolF16Kernel *const kMaxPoolF16Kernels, *const kAveragePoolF16Kernels;
extern const size_t kMaxPoolF16KernelCount, kAveragePoolF16KernelCount;
extern const PoolI8Kernel kMaxPoolI8Kernels[], kAveragePoolI8Kernels[];
extern const size_t kMaxPoolI8KernelCount, kAveragePoolI8KernelCount;

// One file per instruction set.
void max_pool_f32_1x16__scalar(const PoolF32Pixel& pixel);
void average_pool_f32_1x16__scalar(const PoolF32Pixel& pixel);
void max_pool_i8_1x64__scalar(const PoolI8Pixel& pixel);
void average_pool_i8_1x32__scalar(const PoolI8Pixel& pixel);
void max_pool_f16_1x32__neon_fp16(const PoolF16Pixel& pixel);
void average_pool_f16_1x16__neon_fp16(const PoolF16Pixel& pixel);
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
