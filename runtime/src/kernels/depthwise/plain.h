// Depthwise kernels in plain loops that compilers vectorise: blocks of 16 channels, taps in the
// inner loop, so that accumulators stay in registers. Included once per instruction set.
#ifndef PTQ_KERNELS_DEPTHWISE_PLAIN_H_
#define PTQ_KERNELS_DEPTHWISE_PLAIN_H_

#include "base/math.h"
#include "kernels/depthwise/contract.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

constexpr size_t kBlock = 16;

// Calls f(x, w) for every tap of output `x`: its input and its packed weights (taps outermost).
template <typename T, typename F>
PTQ_INLINE void ForEachTap(const T* const* columns, const DepthwiseShape& shape, const T* weights,
                           F f) {
  const size_t weight_stride =
      CeilDiv(shape.channels, kDepthwiseChannelBlock) * kDepthwiseChannelBlock;
  for (size_t ky = 0; ky < shape.kernel_h; ++ky) {
    for (size_t kx = 0; kx < shape.kernel_w; ++kx) {
      f(columns[kx * shape.dilation * shape.kernel_h + ky], weights);
      weights += weight_stride;
    }
  }
}

// `count` is a constant at the call for full blocks, which lets the compiler unroll and vectorise.
PTQ_INLINE void BlockF32(const DepthwiseF32Row& p, size_t x, size_t c, size_t count) {
  float sum[kBlock];
  for (size_t j = 0; j < count; ++j) sum[j] = p.bias[c + j];
  ForEachTap(p.columns + x * p.shape.stride * p.shape.kernel_h, p.shape, p.weights,
             [&](const float* input, const float* w) __attribute__((always_inline)) {
               for (size_t j = 0; j < count; ++j) sum[j] += input[c + j] * w[c + j];
             });
  float* y = p.output + x * p.output_stride + c;
  for (size_t j = 0; j < count; ++j) y[j] = Clamp(sum[j], p.lo, p.hi);
}

PTQ_INLINE void BlockI8(const DepthwiseI8Row& p, size_t x, size_t c, size_t count) {
  int32_t sum[kBlock];
  for (size_t j = 0; j < count; ++j) sum[j] = p.bias[c + j];
  ForEachTap(p.columns + x * p.shape.stride * p.shape.kernel_h, p.shape, p.weights,
             [&](const int8_t* input, const int8_t* w) __attribute__((always_inline)) {
               // The product of two int8 fits in int16: a narrow multiplication, then one widening.
               for (size_t j = 0; j < count; ++j)
                 sum[j] += static_cast<int16_t>(input[c + j] * w[c + j]);
             });
  const float* multiplier = p.multiplier + c;
  const size_t at = x * p.output_stride + c;
  if (p.output_i8 != nullptr) {
    for (size_t j = 0; j < count; ++j)
      p.output_i8[at + j] = Requantize(sum[j], multiplier[j], p.range);
  } else {
    for (size_t j = 0; j < count; ++j)
      p.output_f32[at + j] = Clamp(static_cast<float>(sum[j]) * multiplier[j], p.lo, p.hi);
  }
}

PTQ_INLINE void RowF32(const DepthwiseF32Row& row) {
  for (size_t x = 0; x < row.outputs; ++x) {
    size_t c = 0;
    for (; c + kBlock <= row.shape.channels; c += kBlock) BlockF32(row, x, c, kBlock);
    if (c < row.shape.channels) BlockF32(row, x, c, row.shape.channels - c);
  }
}

PTQ_INLINE void RowI8(const DepthwiseI8Row& row) {
  for (size_t x = 0; x < row.outputs; ++x) {
    size_t c = 0;
    for (; c + kBlock <= row.shape.channels; c += kBlock) BlockI8(row, x, c, kBlock);
    if (c < row.shape.channels) BlockI8(row, x, c, row.shape.channels - c);
  }
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_PLAIN_H_
