// Depthwise convolution (groups = C, one filter per channel), NHWC. A kernel computes all channels
// of one row of output pixels. It gets one input pointer per row of the filter for each column of
// the (padded) input that the row needs; what lies in the padding points at a row of padding
// values, so kernels have no bounds checks and may reuse a column for all outputs that see it.
//
// Up to kReadSlack bytes after the channels of each input pointer may be read; their values are
// arbitrary and must not reach an output.
#ifndef PTQ_KERNELS_DEPTHWISE_CONTRACT_H_
#define PTQ_KERNELS_DEPTHWISE_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_list.h"
#include "numerics/half.h"
#include "numerics/requantize.h"

namespace ptq {

// Per-channel arrays (bias, multiplier) are padded with zeros to a multiple of this.
constexpr size_t kDepthwiseChannelBlock = 64;

// The filter's size and how it steps along a row.
struct DepthwiseShape {
  size_t channels, kernel_h, kernel_w;
  size_t stride, dilation;  // along the row

  // Input columns that `outputs` output pixels need.
  size_t Columns(size_t outputs) const {
    return (outputs - 1) * stride + (kernel_w - 1) * dilation + 1;
  }
};

// T: float, or Half for kernels that multiply and add in half precision.
template <typename T>
struct DepthwiseRealRow {
  // [columns][kernel_h]; output x, tap (ky, kx) reads columns[x * stride + kx * dilation][ky].
  const T* const* columns;
  DepthwiseShape shape;
  size_t outputs;    // pixels of the row, at least 1
  const T* weights;  // packed by the kernel's pack
  const T* bias;
  T* output;  // [outputs][output_stride]
  size_t output_stride;
  float lo, hi;
};
using DepthwiseF32Row = DepthwiseRealRow<float>;
using DepthwiseF16Row = DepthwiseRealRow<Half>;

struct DepthwiseI8Row {
  const int8_t* const* columns;
  DepthwiseShape shape;
  size_t outputs;
  const int8_t* weights;
  const int32_t* bias;      // bias - (zero_point_in + input_offset) * sum(w), modulo 2^32
  const float* multiplier;  // s_in * s_w / s_out, or s_in * s_w for a float output
  int8_t* output_i8;        // null: the output is float
  OutputRange range;        // for output_i8
  float* output_f32;
  float lo, hi;  // for output_f32
  size_t output_stride;
  // The bias has kSumShift added (numerics/shifted_sum.h), and the sums of all channels fit.
  bool shifted_sums = false;
};

// weights: canonical [channels][kernel_h][kernel_w].
template <typename T>
struct DepthwisePacking {
  size_t (*size)(const DepthwiseShape&);  // elements
  void (*pack)(const DepthwiseShape&, const T* weights, T* packed);
};

template <typename T, typename Row>
struct DepthwiseKernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const Row&);
  // What it is made for: a square filter of this size, without dilation; 0: any filter.
  size_t size = 0;
  size_t stride = 0;         // 0: any
  int32_t input_offset = 0;  // added to x before it is multiplied: 128 where x must be unsigned
  DepthwisePacking<T> packing;
  bool shifted_sums = false;  // int8: gains from shifted sums
};

using DepthwiseF32Kernel = DepthwiseKernel<float, DepthwiseF32Row>;
using DepthwiseF16Kernel = DepthwiseKernel<Half, DepthwiseF16Row>;
using DepthwiseI8Kernel = DepthwiseKernel<int8_t, DepthwiseI8Row>;

// True if `kernel` is made for `shape`.
template <typename Kernel>
bool FitsDepthwise(const Kernel& kernel, const DepthwiseShape& shape) {
  const bool size_fits = kernel.size == 0 || (kernel.size == shape.kernel_h &&
                                              kernel.size == shape.kernel_w && shape.dilation == 1);
  return size_fits && (kernel.stride == 0 || kernel.stride == shape.stride);
}

// The first kernel of `list` that `features` allows and that is made for `shape`.
template <typename Kernel>
const Kernel* SelectDepthwise(const KernelList<Kernel>& list, uint32_t features,
                              const DepthwiseShape& shape) {
  return SelectKernel(list, features,
                      [&](const Kernel& kernel) { return FitsDepthwise(kernel, shape); });
}

#define PTQ_ROWS "kernels/depthwise/kernels.inc"
#include "kernels/declare.inc"

}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_CONTRACT_H_
