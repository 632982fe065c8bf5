// Depthwise convolution (groups = C, one filter per channel), NHWC. A kernel computes all channels
// of one output pixel from one input pointer per tap; taps in the padding point at a row of padding
// values.
#ifndef PTQ_KERNELS_DEPTHWISE_CONTRACT_H_
#define PTQ_KERNELS_DEPTHWISE_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "numerics/requantize.h"

namespace ptq {

// Per-channel arrays (weights per tap, bias, multiplier) are padded with zeros to a multiple of
// this; inputs and outputs are not.
constexpr size_t kDepthwiseChannelBlock = 16;

struct DepthwiseF32Pixel {
  const float* const* rows;  // [taps], each to `channels` values
  size_t taps, channels;
  const float* weights;  // [taps][weight_stride]
  size_t weight_stride;  // channels rounded up to the block
  const float* bias;     // [weight_stride]
  float* output;
  float lo, hi;
};

struct DepthwiseI8Pixel {
  const int8_t* const* rows;
  size_t taps, channels;
  const int8_t* weights;
  size_t weight_stride;
  const int32_t* bias;      // bias - zero_point_in * sum(w)
  const float* multiplier;  // s_in * s_w / s_out, or s_in * s_w for a float output
  int8_t* output_i8;        // null: the output is float
  OutputRange range;
  float* output_f32;
  float lo, hi;
};

struct DepthwiseF32Kernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const DepthwiseF32Pixel&);
};

struct DepthwiseI8Kernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const DepthwiseI8Pixel&);
};

extern const DepthwiseF32Kernel kDepthwiseF32Kernels[];
extern const size_t kDepthwiseF32KernelCount;
extern const DepthwiseI8Kernel kDepthwiseI8Kernels[];
extern const size_t kDepthwiseI8KernelCount;

void depthwise_f32_1x16__scalar(const DepthwiseF32Pixel& pixel);
void depthwise_i8_1x16__scalar(const DepthwiseI8Pixel& pixel);
void depthwise_f32_1x16__avx2(const DepthwiseF32Pixel& pixel);
void depthwise_i8_1x16__avx2(const DepthwiseI8Pixel& pixel);
void depthwise_f32_1x16__avx512vnni(const DepthwiseF32Pixel& pixel);
void depthwise_i8_1x16__avx512vnni(const DepthwiseI8Pixel& pixel);

}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_CONTRACT_H_
