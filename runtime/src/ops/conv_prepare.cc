// Preparing a convolution: quantization parameters, kernel choice, packing.
#include <inttypes.h>

#include "base/math.h"
#include "kernels/depthwise/pack.h"
#include "kernels/gemm/pack.h"
#include "ops/conv_state.h"

namespace ptq {
namespace {

ptq_status CheckTypes(const PreparedOp& op) {
  const Tensor &x = *op.Input(0), &w = *op.Input(1), &y = op.Output();
  const Tensor* b = op.Input(2);
  PTQ_RETURN_IF_ERROR(CheckDType("x", x, 1u << kF32 | 1u << kI8));
  PTQ_RETURN_IF_ERROR(CheckDType("w", w, 1u << x.dtype));
  const bool quantized = x.dtype == kI8;
  PTQ_RETURN_IF_ERROR(CheckDType("output", y, 1u << kF32 | (quantized ? 1u << kI8 : 0)));
  if (b != nullptr) PTQ_RETURN_IF_ERROR(CheckDType("b", *b, 1u << (quantized ? kI32 : kF32)));
  if (w.storage != kConstant || (b != nullptr && b->storage != kConstant)) {
    return Fail(PTQ_UNSUPPORTED, "storage: w and b must be constants");
  }
  if (!quantized) return PTQ_OK;
  PTQ_RETURN_IF_ERROR(CheckPerTensor("x", x));
  PTQ_RETURN_IF_ERROR(CheckPerTensor("output", y));
  if (w.zero_point != 0)
    return Fail(PTQ_BAD_FILE, "w '%.60s' zero_point: %" PRId32 " instead of 0", w.name,
                w.zero_point);
  if (w.scale_count != 1 && w.axis != 0) {
    return Fail(PTQ_BAD_FILE, "w '%.60s' axis: %" PRId32 " instead of 0", w.name, w.axis);
  }
  return PTQ_OK;
}

// Folds the input's zero point into the bias: sum((x - z) w) + b = sum(x w) + (b - z sum(w)), and
// likewise what the kernel adds to x: sum(x w) = sum((x + offset) w) - offset sum(w), modulo 2^32.
// Proves on the way that no accumulator of the kernels can leave int32, in whatever order it sums.
ptq_status FoldBias(const Tensor& x, const Tensor& w, const Tensor* b, size_t output,
                    size_t products, int32_t input_offset, int32_t* folded) {
  const int8_t* row = static_cast<const int8_t*>(w.data) + output * products;
  int64_t sum = 0, magnitude = 0;
  for (size_t k = 0; k < products; ++k) {
    if (row[k] == -128) {
      return Fail(PTQ_BAD_FILE, "w '%.60s': element %zu is -128; weights are in -127 ... 127",
                  w.name, output * products + k);
    }
    sum += row[k];
    magnitude += row[k] < 0 ? -row[k] : row[k];
  }
  int32_t bias = 0;
  if (b != nullptr) memcpy(&bias, static_cast<const int32_t*>(b->data) + output, sizeof bias);
  const int64_t bias_magnitude = bias < 0 ? -static_cast<int64_t>(bias) : bias;
  const int64_t z = x.zero_point, z_magnitude = z < 0 ? -z : z;
  if (bias_magnitude + (128 + z_magnitude) * magnitude > INT32_MAX) {
    return Fail(PTQ_BAD_FILE,
                "output channel %zu: |b| = %" PRId64 " and sum|w| = %" PRId64 " can overflow int32",
                output, bias_magnitude, magnitude);
  }
  const uint32_t wrapped = static_cast<uint32_t>(bias - (z + input_offset) * sum);
  memcpy(folded, &wrapped, sizeof wrapped);
  return PTQ_OK;
}

// `slot`: where output channel o lies in the padded per-channel arrays.
ptq_status PrepareChannelI8(const PreparedOp& op, size_t output, size_t slot, size_t products,
                            ConvState* state) {
  const Tensor &x = *op.Input(0), &w = *op.Input(1), &y = op.Output();
  const int32_t input_offset = state->gemm_i8 != nullptr ? state->gemm_i8->input_offset : 0;
  PTQ_RETURN_IF_ERROR(
      FoldBias(x, w, op.Input(2), output, products, input_offset, &state->bias_i32[slot]));
  // Two roundings, in this order (docs/numerics.md).
  float m = x.scales[0] * w.scales[w.scale_count == 1 ? 0 : output];
  if (y.dtype == kI8) m = m / y.scales[0];
  state->multiplier[slot] = m;
  return CheckMultiplier("requantization", m);
}

ptq_status PrepareGemm(uint32_t features, const PreparedOp& op, ConvState* state) {
  const ConvGeometry& g = state->geometry;
  const bool quantized = op.Input(0)->dtype == kI8;
  if (quantized) {
    state->gemm_i8 = SelectKernel(kGemmI8Kernels, kGemmI8KernelCount, features);
  } else {
    state->gemm_f32 = SelectKernel(kGemmF32Kernels, kGemmF32KernelCount, features);
  }
  const size_t nr = quantized ? state->gemm_i8->nr : state->gemm_f32->nr;
  const size_t outputs = g.GroupOutputs(), products = g.Taps() * g.GroupInputs(),
               kr = quantized ? state->gemm_i8->kr : 1;
  state->packed_products = PackedGemmProducts(g.Taps(), g.GroupInputs(), kr);
  state->blocks = CeilDiv(outputs, nr);
  const size_t slots = state->blocks * nr;  // per group
  uint64_t packed_size = 0;
  if (!Multiply(g.groups * slots, state->packed_products, &packed_size) || packed_size > SIZE_MAX)
    return OutOfMemory();
  const void* weights = op.Input(1)->data;
  if (!quantized) {
    PTQ_RETURN_IF_ERROR(state->weights_f32.Allocate(static_cast<size_t>(packed_size)));
    PTQ_RETURN_IF_ERROR(state->bias_f32.Allocate(g.groups * slots));
    for (size_t group = 0; group < g.groups; ++group) {
      PackGemmWeights(static_cast<const float*>(weights) + group * outputs * products, outputs,
                      g.Taps(), g.GroupInputs(), nr, 1,
                      state->weights_f32.data() + group * slots * state->packed_products);
      if (op.Input(2) == nullptr) continue;
      memcpy(state->bias_f32.data() + group * slots,
             static_cast<const float*>(op.Input(2)->data) + group * outputs,
             outputs * sizeof(float));
    }
    return PTQ_OK;
  }
  PTQ_RETURN_IF_ERROR(state->weights_i8.Allocate(static_cast<size_t>(packed_size)));
  PTQ_RETURN_IF_ERROR(state->bias_i32.Allocate(g.groups * slots));
  PTQ_RETURN_IF_ERROR(state->multiplier.Allocate(g.groups * slots));
  for (size_t group = 0; group < g.groups; ++group) {
    PackGemmWeights(static_cast<const int8_t*>(weights) + group * outputs * products, outputs,
                    g.Taps(), g.GroupInputs(), nr, kr,
                    state->weights_i8.data() + group * slots * state->packed_products);
    for (size_t j = 0; j < outputs; ++j) {
      PTQ_RETURN_IF_ERROR(
          PrepareChannelI8(op, group * outputs + j, group * slots + j, products, state));
    }
  }
  return PTQ_OK;
}

ptq_status PrepareDepthwise(uint32_t features, const PreparedOp& op, ConvState* state) {
  const size_t channels = state->geometry.out_c, taps = state->geometry.Taps();
  const size_t stride = CeilDiv(channels, kDepthwiseChannelBlock) * kDepthwiseChannelBlock;
  uint64_t packed_size = 0;
  if (!Multiply(stride, taps, &packed_size) || packed_size > SIZE_MAX) return OutOfMemory();
  const void* weights = op.Input(1)->data;
  if (op.Input(0)->dtype == kF32) {
    state->depthwise_f32 = SelectKernel(kDepthwiseF32Kernels, kDepthwiseF32KernelCount, features);
    PTQ_RETURN_IF_ERROR(state->weights_f32.Allocate(static_cast<size_t>(packed_size)));
    PTQ_RETURN_IF_ERROR(state->bias_f32.Allocate(stride));
    PackDepthwiseWeights(static_cast<const float*>(weights), channels, taps, stride,
                         state->weights_f32.data());
    if (op.Input(2) != nullptr)
      memcpy(state->bias_f32.data(), op.Input(2)->data, channels * sizeof(float));
    return PTQ_OK;
  }
  state->depthwise_i8 = SelectKernel(kDepthwiseI8Kernels, kDepthwiseI8KernelCount, features);
  PTQ_RETURN_IF_ERROR(state->weights_i8.Allocate(static_cast<size_t>(packed_size)));
  PTQ_RETURN_IF_ERROR(state->bias_i32.Allocate(stride));
  PTQ_RETURN_IF_ERROR(state->multiplier.Allocate(stride));
  PackDepthwiseWeights(static_cast<const int8_t*>(weights), channels, taps, stride,
                       state->weights_i8.data());
  for (size_t c = 0; c < channels; ++c)
    PTQ_RETURN_IF_ERROR(PrepareChannelI8(op, c, c, taps, state));
  return PTQ_OK;
}

}  // namespace

ptq_status PrepareConvolution(uint32_t features, const ConvGeometry& geometry,
                              const ClampAttrs& clamp, PreparedOp* op) {
  PTQ_RETURN_IF_ERROR(CheckTypes(*op));
  PTQ_RETURN_IF_ERROR(CheckClamp(clamp));
  ConvState* state = op->MakeState<ConvState>();
  if (state == nullptr) return OutOfMemory();
  state->geometry = geometry;
  state->lo = clamp.lo;
  state->hi = clamp.hi;
  state->range = MakeOutputRange(op->Output().zero_point, clamp.q_min, clamp.q_max);

  const bool depthwise =
      geometry.groups == geometry.in_c && geometry.out_c == geometry.in_c && geometry.groups > 1;
  PTQ_RETURN_IF_ERROR(depthwise ? PrepareDepthwise(features, *op, state)
                                : PrepareGemm(features, *op, state));
  size_t pointers = geometry.Taps();  // bounded by the weights' size, which the file holds
  if (depthwise) {
    op->run = RunDepthwiseConvolution;
    op->kernel =
        state->depthwise_i8 != nullptr ? state->depthwise_i8->name : state->depthwise_f32->name;
  } else {
    op->run = RunGemmConvolution;
    op->kernel = state->gemm_i8 != nullptr ? state->gemm_i8->name : state->gemm_f32->name;
    pointers *= state->gemm_i8 != nullptr ? state->gemm_i8->mr : state->gemm_f32->mr;
  }
  op->workspace_per_thread = pointers * sizeof(void*);

  if (op->Input(0)->dtype == kF32) return state->padding_f32.Allocate(geometry.in_c);
  PTQ_RETURN_IF_ERROR(state->padding_i8.Allocate(geometry.in_c));
  memset(state->padding_i8.data(), op->Input(0)->zero_point, geometry.in_c);
  return PTQ_OK;
}

}  // namespace ptq
