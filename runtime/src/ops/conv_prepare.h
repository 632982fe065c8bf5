// Preparing convolutions: what all ways share, and each way's entrance.
#ifndef PTQ_OPS_CONV_PREPARE_H_
#define PTQ_OPS_CONV_PREPARE_H_

#include "ops/conv_state.h"

namespace ptq {

// What a convolution writes before anything is added to it: the operator's output, or where there
// is a residual a tensor that exists a tile at a time in the workspace.
struct ConvOutput {
  DType dtype;
  float scale;  // of i8
  int32_t zero_point;
  ClampAttrs clamp;
};

// What an operator asks for. Its inputs x, w and `b` (null: none) were checked to fit.
struct Convolution {
  ConvGeometry geometry;
  ConvOutput output;
  const Tensor& x;
  const Tensor& w;
  const Tensor* b;
  const Conv2dAddAttrs* add = nullptr;  // of the residual; null: none
};

// The operator's own output with `clamp`.
ConvOutput PlainOutput(const PreparedOp& op, const ClampAttrs& clamp);

// Fills op->state by one of the three ways, and checks the quantization parameters.
ptq_status PrepareConvolution(uint32_t features, const Convolution& conv, PreparedOp* op);

template <typename T>
ptq_status PrepareGemm(uint32_t features, const Convolution& conv, PreparedOp* op);
template <typename T>
ptq_status PrepareDepthwise(uint32_t features, const Convolution& conv, PreparedOp* op);
ptq_status PrepareWinograd(uint32_t features, const Convolution& conv, PreparedOp* op);

// Whether a float convolution may take Winograd's way.
bool SuitsWinograd(const ConvGeometry& geometry);

// Gives the operator a state of type State, and fills in what all have of the operator. Null: out
// of memory.
template <typename State>
State* MakeConvState(const Convolution& conv, PreparedOp* op) {
  State* state = op->MakeState<State>();
  if (state == nullptr) return nullptr;
  const ConvGeometry& g = state->geometry = conv.geometry;
  const ClampAttrs& clamp = conv.output.clamp;
  op->macs =
      static_cast<uint64_t>(g.batch) * g.out_h * g.out_w * g.out_c * g.Taps() * g.GroupInputs();
  state->lo = clamp.lo;
  state->hi = clamp.hi;
  state->range = MakeOutputRange(conv.output.zero_point, clamp.q_min, clamp.q_max);
  return state;
}

// The copy of a constant input, and `padding` elements of padding.
template <typename T>
ptq_status PrepareInput(const Tensor& x, size_t padding, ConvState<T>* state) {
  if (x.storage == kConstant) {
    PTQ_RETURN_IF_ERROR(state->constant_input.Allocate(static_cast<size_t>(x.size) / sizeof(T)));
    memcpy(state->constant_input.data(), x.data, static_cast<size_t>(x.size));
  }
  PTQ_RETURN_IF_ERROR(state->padding.Allocate(padding));
  if constexpr (std::is_same_v<T, int8_t>) memset(state->padding.data(), x.zero_point, padding);
  return PTQ_OK;
}

// How channels lie in the padded arrays: each group's outputs, then zeros up to its slots.
struct ChannelSlots {
  size_t groups, outputs, slots;
};

// Bias and multipliers for a kernel that adds `input_offset` to x and that may gain from shifted
// sums.
ptq_status PrepareInt8Channels(const Convolution& conv, const ChannelSlots& slots,
                               int32_t input_offset, bool shifted_sums,
                               ConvChannels<int8_t>* channels);

// What `kernel`, a gemm or depthwise one, is given of each channel.
template <typename T, typename Kernel>
ptq_status PrepareChannels(const Convolution& conv, const ChannelSlots& slots,
                           [[maybe_unused]] const Kernel& kernel, ConvChannels<T>* channels) {
  if constexpr (std::is_same_v<T, int8_t>) {
    return PrepareInt8Channels(conv, slots, kernel.input_offset, kernel.shifted_sums, channels);
  } else {
    PTQ_RETURN_IF_ERROR(channels->bias.Allocate(slots.groups * slots.slots));
    if (conv.b == nullptr) return PTQ_OK;
    for (size_t group = 0; group < slots.groups; ++group) {
      memcpy(channels->bias.data() + group * slots.slots,
             static_cast<const T*>(conv.b->data) + group * slots.outputs,
             slots.outputs * sizeof(T));
    }
    return PTQ_OK;
  }
}

// The residual, if there is one, of tiles of at most `elements`.
template <typename T>
ptq_status PrepareResidual(uint32_t features, const Convolution& conv, uint64_t elements,
                           PreparedOp* op, Residual<T>* residual);

}  // namespace ptq

#endif  // PTQ_OPS_CONV_PREPARE_H_
