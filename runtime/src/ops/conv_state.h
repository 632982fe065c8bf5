// Convolutions after preparation: geometry, the chosen kernel, packed weights. conv2d (general and
// depthwise) and fully_connected (a 1x1 convolution on a 1x1 picture) share it.
#ifndef PTQ_OPS_CONV_STATE_H_
#define PTQ_OPS_CONV_STATE_H_

#include "kernels/depthwise/contract.h"
#include "kernels/gemm/contract.h"
#include "ops/checks.h"
#include "ops/op.h"

namespace ptq {

struct ConvGeometry {
  size_t batch, in_h, in_w, in_c, out_h, out_w, out_c, groups;
  Window h, w;

  size_t Taps() const { return static_cast<size_t>(h.kernel) * w.kernel; }
  size_t GroupInputs() const { return in_c / groups; }
  size_t GroupOutputs() const { return out_c / groups; }
};

struct ConvState {
  ConvGeometry geometry;
  // One of the four is set.
  const GemmF32Kernel* gemm_f32;
  const GemmI8Kernel* gemm_i8;
  const DepthwiseF32Kernel* depthwise_f32;
  const DepthwiseI8Kernel* depthwise_i8;
  size_t blocks;           // gemm: blocks of nr outputs per group
  size_t packed_products;  // gemm: weights of one output in packed order

  // Per output channel, padded with zeros to whole blocks of each group (gemm) or of all channels
  // (depthwise).
  Array<float> weights_f32, bias_f32, multiplier;
  Array<int8_t> weights_i8;
  Array<int32_t> bias_i32;
  // What taps in the padding point at: in_c zeros or input zero points.
  Array<float> padding_f32;
  Array<int8_t> padding_i8;

  OutputRange range;
  float lo, hi;
};

// Fills op->state for inputs x, w, b that were checked to fit `geometry`; checks the quantization
// parameters.
ptq_status PrepareConvolution(uint32_t features, const ConvGeometry& geometry,
                              const ClampAttrs& clamp, PreparedOp* op);

// The run functions, set by PrepareConvolution.
void RunGemmConvolution(const PreparedOp& op, const RunContext& run);
void RunDepthwiseConvolution(const PreparedOp& op, const RunContext& run);

}  // namespace ptq

#endif  // PTQ_OPS_CONV_STATE_H_
