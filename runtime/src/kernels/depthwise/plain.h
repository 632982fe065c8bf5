// Depthwise kernels in plain loops that compilers vectorise: blocks of 16 channels, taps in the
// inner loop, so that accumulators stay in registers. Included once per instruction set.
#ifndef PTQ_KERNELS_DEPTHWISE_PLAIN_H_
#define PTQ_KERNELS_DEPTHWISE_PLAIN_H_

#include "base/math.h"
#include "kernels/depthwise/contract.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

constexpr size_t kBlock = kDepthwiseChannelBlock;

// `count` is a constant at the call for full blocks, which lets the compiler unroll and vectorise.
PTQ_INLINE void BlockF32(const DepthwiseF32Pixel& p, size_t c, size_t count) {
  float sum[kBlock];
  for (size_t j = 0; j < count; ++j) sum[j] = p.bias[c + j];
  for (size_t tap = 0; tap < p.taps; ++tap) {
    const float* x = p.rows[tap] + c;
    const float* w = p.weights + tap * p.weight_stride + c;
    for (size_t j = 0; j < count; ++j) sum[j] += x[j] * w[j];
  }
  for (size_t j = 0; j < count; ++j) p.output[c + j] = Clamp(sum[j], p.lo, p.hi);
}

PTQ_INLINE void BlockI8(const DepthwiseI8Pixel& p, size_t c, size_t count) {
  int32_t sum[kBlock];
  for (size_t j = 0; j < count; ++j) sum[j] = p.bias[c + j];
  for (size_t tap = 0; tap < p.taps; ++tap) {
    const int8_t* x = p.rows[tap] + c;
    const int8_t* w = p.weights + tap * p.weight_stride + c;
    // The product of two int8 fits in int16: a narrow multiplication, then one widening.
    for (size_t j = 0; j < count; ++j) sum[j] += static_cast<int16_t>(x[j] * w[j]);
  }
  const float* multiplier = p.multiplier + c;
  if (p.output_i8 != nullptr) {
    int8_t* y = p.output_i8 + c;
    for (size_t j = 0; j < count; ++j) y[j] = Requantize(sum[j], multiplier[j], p.range);
  } else {
    float* y = p.output_f32 + c;
    for (size_t j = 0; j < count; ++j)
      y[j] = Clamp(static_cast<float>(sum[j]) * multiplier[j], p.lo, p.hi);
  }
}

PTQ_INLINE void PixelF32(const DepthwiseF32Pixel& pixel) {
  size_t c = 0;
  for (; c + kBlock <= pixel.channels; c += kBlock) BlockF32(pixel, c, kBlock);
  if (c < pixel.channels) BlockF32(pixel, c, pixel.channels - c);
}

PTQ_INLINE void PixelI8(const DepthwiseI8Pixel& pixel) {
  size_t c = 0;
  for (; c + kBlock <= pixel.channels; c += kBlock) BlockI8(pixel, c, kBlock);
  if (c < pixel.channels) BlockI8(pixel, c, pixel.channels - c);
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_PLAIN_H_
