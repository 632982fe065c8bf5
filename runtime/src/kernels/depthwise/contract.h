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
  // What it is made for; 0: any.
  size_t kernel_h, kernel_w, stride, dilation;
  int32_t input_offset;  // the kernel multiplies x + input_offset: 128 where x must be unsigned
  DepthwisePacking<T> packing;
  void (*run)(const Row&);
  bool shifted_sums = false;  // int8: gains from shifted sums
};

using DepthwiseF32Kernel = DepthwiseKernel<float, DepthwiseF32Row>;
using DepthwiseF16Kernel = DepthwiseKernel<Half, DepthwiseF16Row>;
using DepthwiseI8Kernel = DepthwiseKernel<int8_t, DepthwiseI8Row>;

// Best first; the last one runs everywhere, on every shape.
extern const DepthwiseF32Kernel kDepthwiseF32Kernels[];
extern const size_t kDepthwiseF32KernelCount;
// Only for CPUs that compute in half precision, where the last one takes every shape; null where
// there are none.
extern const DepthwiseF16Kernel* const kDepthwiseF16Kernels;
extern const size_t kDepthwiseF16KernelCount;
extern const DepthwiseI8Kernel kDepthwiseI8Kernels[];
extern const size_t kDepthwiseI8KernelCount;

// True if `kernel` is made for `shape`.
template <typename Kernel>
bool FitsDepthwise(const Kernel& kernel, const DepthwiseShape& shape) {
  const size_t made_for[] = {kernel.kernel_h, kernel.kernel_w, kernel.stride, kernel.dilation};
  const size_t wanted[] = {shape.kernel_h, shape.kernel_w, shape.stride, shape.dilation};
  for (size_t i = 0; i < 4; ++i) {
    if (made_for[i] != 0 && made_for[i] != wanted[i]) return false;
  }
  return true;
}

// The first kernel of `list` that `features` allows and that is made for `shape`.
template <typename Kernel>
const Kernel* SelectDepthwise(const Kernel* list, size_t count, uint32_t features,
                              const DepthwiseShape& shape) {
  for (size_t i = 0; i + 1 < count; ++i) {
    if ((list[i].requires_features & ~features) == 0 && FitsDepthwise(list[i], shape))
      return &list[i];
  }
  return &list[count - 1];
}

// One file per instruction set.
void depthwise_f32_1x16__scalar(const DepthwiseF32Row& row);
void depthwise_i8_1x16__scalar(const DepthwiseI8Row& row);
void depthwise_f32_3x3s1__neon(const DepthwiseF32Row& row);
void depthwise_f32_3x3s2__neon(const DepthwiseF32Row& row);
void depthwise_f32_5x5s1__neon(const DepthwiseF32Row& row);
void depthwise_f32_5x5s2__neon(const DepthwiseF32Row& row);
void depthwise_f32_1x16__neon(const DepthwiseF32Row& row);
void depthwise_f16_3x3s1__neon_fp16(const DepthwiseF16Row& row);
void depthwise_f16_3x3s2__neon_fp16(const DepthwiseF16Row& row);
void depthwise_f16_5x5s1__neon_fp16(const DepthwiseF16Row& row);
void depthwise_f16_5x5s2__neon_fp16(const DepthwiseF16Row& row);
void depthwise_f16_1x32__neon_fp16(const DepthwiseF16Row& row);
void depthwise_i8_3x3s1__neon(const DepthwiseI8Row& row);
void depthwise_i8_3x3s2__neon(const DepthwiseI8Row& row);
void depthwise_i8_5x5__neon(const DepthwiseI8Row& row);
void depthwise_i8_3x3s1__dotprod(const DepthwiseI8Row& row);
void depthwise_i8_3x3s2__dotprod(const DepthwiseI8Row& row);
void depthwise_i8_5x5s1__dotprod(const DepthwiseI8Row& row);
void depthwise_i8_5x5s2__dotprod(const DepthwiseI8Row& row);
void depthwise_f32_3x3s1__avx2(const DepthwiseF32Row& row);
void depthwise_f32_3x3s2__avx2(const DepthwiseF32Row& row);
void depthwise_f32_5x5s1__avx2(const DepthwiseF32Row& row);
void depthwise_f32_5x5s2__avx2(const DepthwiseF32Row& row);
void depthwise_f32_1x32__avx2(const DepthwiseF32Row& row);
void depthwise_i8_3x3s1__avx2(const DepthwiseI8Row& row);
void depthwise_i8_3x3s2__avx2(const DepthwiseI8Row& row);
void depthwise_i8_5x5s1__avx2(const DepthwiseI8Row& row);
void depthwise_i8_5x5s2__avx2(const DepthwiseI8Row& row);
void depthwise_i8_1x16__avx2(const DepthwiseI8Row& row);
void depthwise_i8_3x3s1__avxvnni(const DepthwiseI8Row& row);
void depthwise_i8_3x3s2__avxvnni(const DepthwiseI8Row& row);
void depthwise_i8_5x5s1__avxvnni(const DepthwiseI8Row& row);
void depthwise_i8_5x5s2__avxvnni(const DepthwiseI8Row& row);
void depthwise_i8_1x32__avxvnni(const DepthwiseI8Row& row);
void depthwise_f32_3x3s1__avx512vnni(const DepthwiseF32Row& row);
void depthwise_f32_3x3s2__avx512vnni(const DepthwiseF32Row& row);
void depthwise_f32_5x5s1__avx512vnni(const DepthwiseF32Row& row);
void depthwise_f32_5x5s2__avx512vnni(const DepthwiseF32Row& row);
void depthwise_f32_1x64__avx512vnni(const DepthwiseF32Row& row);
void depthwise_i8_3x3s1__avx512vnni(const DepthwiseI8Row& row);
void depthwise_i8_3x3s2__avx512vnni(const DepthwiseI8Row& row);
void depthwise_i8_5x5s1__avx512vnni(const DepthwiseI8Row& row);
void depthwise_i8_5x5s2__avx512vnni(const DepthwiseI8Row& row);
void depthwise_i8_1x64__avx512vnni(const DepthwiseI8Row& row);

}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_CONTRACT_H_
