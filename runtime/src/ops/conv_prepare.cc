// Preparing a convolution: quantization parameters, kernel choice, packing.
#include <inttypes.h>

#include "base/math.h"
#include "kernels/depthwise/pack.h"
#include "kernels/gemm/pack.h"
#include "kernels/winograd/error.h"
#include "numerics/shifted_sum.h"
#include "ops/conv_state.h"
#include "ops/long_sums.h"

namespace ptq {
namespace {

// Weights of a panel, in bytes, which are read again for every tile of pixels.
#if defined(__x86_64__)
constexpr size_t kPanelBytes = 262144;  // streams from a second-level cache of 1 MB or more
#else
constexpr size_t kPanelBytes = 24576;  // stays in a first-level cache of 32 or 64 KB, beside input
#endif

// A kernel that copies its rows does so once for at least so many channels.
constexpr size_t kPackedRowColumns = 256;

// Windows of fewer channels than this become lines or patches: a tap of a few channels would leave
// most of a vector empty, and a kernel's loop with nothing to do.
constexpr size_t kPatchDepth = 16;

// What a channel's sums lie in, whatever the input.
struct SumBounds {
  int64_t low, high;
};

// Folds the input's zero point into the bias: sum((x - z) w) + b = sum(x w) + (b - z sum(w)), and
// likewise what the kernel adds to x: sum(x w) = sum((x + offset) w) - offset sum(w), modulo 2^32.
// Proves on the way that no accumulator of the kernels can leave int32, in whatever order it sums.
ptq_status FoldBias(const Tensor& x, const Tensor& w, const Tensor* b, size_t output,
                    size_t products, int32_t input_offset, int32_t* folded, SumBounds* bounds) {
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
  const int64_t positive = (magnitude + sum) / 2, negative = (magnitude - sum) / 2;
  bounds->low = bias - positive * (128 + z) - negative * (127 - z);
  bounds->high = bias + positive * (127 - z) + negative * (128 + z);
  return PTQ_OK;
}

// What preparation passes around: the operator and what its kind says of it.
struct Convolution {
  const PreparedOp& op;
  const Tensor* b;  // may be null
  const ConvOutput& output;

  const Tensor& X() const { return *op.Input(0); }
  const Tensor& W() const { return *op.Input(1); }
};

// `slot`: where output channel o lies in the padded per-channel arrays.
ptq_status PrepareChannelI8(const Convolution& conv, size_t output, size_t slot, size_t products,
                            ConvState* state) {
  const Tensor &x = conv.X(), &w = conv.W();
  const int32_t input_offset =
      state->gemm_i8 != nullptr ? state->gemm_i8->input_offset : state->depthwise_i8->input_offset;
  SumBounds bounds;
  PTQ_RETURN_IF_ERROR(
      FoldBias(x, w, conv.b, output, products, input_offset, &state->bias_i32[slot], &bounds));
  // Two roundings, in this order (docs/numerics.md).
  float m = x.scales[0] * w.scales[w.scale_count == 1 ? 0 : output];
  if (conv.output.dtype == kI8) m = m / conv.output.scale;
  state->multiplier[slot] = m;
  if (m >= 1.0f) state->small_results = false;
  if (!FitsShiftedSum(bounds.low, bounds.high, m, conv.output.zero_point))
    state->shifted_sums = false;
  return CheckMultiplier("requantization", m);
}

// After all channels: only now it is known whether every one of them fits.
void ShiftBias(ConvState* state) {
  if (!state->shifted_sums) return;
  for (int32_t& bias : state->bias_i32) bias = ShiftSum(bias);
}

// How the kernel's rows are made from the input, and how much weight it takes at a time: at least
// `least_columns` channels.
void ChooseRows(size_t mr, size_t nr, size_t kd, size_t element_size, size_t least_columns,
                ConvState* state) {
  const ConvGeometry& g = state->geometry;
  state->mr = mr;
  state->nr = nr;
  state->gemm_taps = g.Taps();
  state->gemm_depth = g.GroupInputs();
  if (g.Taps() == 1 && g.h.stride == 1 && g.w.stride == 1 && g.out_h == g.in_h &&
      g.out_w == g.in_w) {
    state->rows = kPointwiseRows;
  } else if (g.Taps() > 1 && g.GroupInputs() < kPatchDepth) {
    // A kernel that takes channels one by one needs no copy where a line of the window is one piece
    // of memory.
    const bool lines = kd == 1 && g.groups == 1 && g.w.dilation == 1;
    state->rows = lines ? kLineRows : kPatchRows;
    state->gemm_taps = lines ? g.h.kernel : 1;
    state->gemm_depth = g.Taps() * g.GroupInputs() / state->gemm_taps;
    // A copy in whole chunks writes up to 15 bytes beyond its patch.
    const size_t patch = g.Taps() * g.GroupInputs() * element_size + 15;
    state->patch_stride = CeilDiv(patch, kAlignment) * kAlignment / element_size;
  } else {
    state->rows = kIndirectRows;
  }
  state->packed_products = PackedGemmProducts(state->gemm_taps, state->gemm_depth, kd);
  state->blocks = CeilDiv(g.GroupOutputs(), nr);
  // Patches are made once per panel: all channels at once.
  state->panel_blocks = state->patch_stride != 0
                            ? state->blocks
                            : Min(Max(kPanelBytes / (state->packed_products * nr * element_size),
                                      CeilDiv(least_columns, nr)),
                                  state->blocks);
}

// Packs all groups and lays the bias beside them.
template <typename T>
ptq_status PackGroups(const Tensor& w, size_t kr, size_t kd, ConvState* state, const PreparedOp& op,
                      Pooled<T>* packed) {
  const ConvGeometry& g = state->geometry;
  const size_t slots = state->blocks * state->nr,  // per group
      outputs = g.GroupOutputs(), products = g.Taps() * g.GroupInputs();
  uint64_t all_slots = 0, packed_size = 0;
  if (!Multiply(g.groups, slots, &all_slots) ||
      !Multiply(all_slots, state->packed_products, &packed_size) || packed_size > SIZE_MAX / 8)
    return OutOfMemory();
  const PackingKey key = {w.data,
                          {sizeof(T), g.groups, outputs, slots, state->gemm_taps, state->gemm_depth,
                           state->nr, kr, kd}};
  // Both readers count a matrix of several fully_connected once (docs/flat_format.md), and nothing
  // else.
  const bool shares = op.op->kind->id == kFullyConnected;
  if (shares && op.packings->Find(key, packed)) return PTQ_OK;
  PTQ_RETURN_IF_ERROR(op.pool->Allocate(static_cast<size_t>(packed_size), packed));
  const T* weights = static_cast<const T*>(w.data);
  for (size_t group = 0; group < g.groups; ++group) {
    PackGemmWeights(weights + group * outputs * products, outputs, state->gemm_taps,
                    state->gemm_depth, state->nr, kr, kd,
                    packed->data() + group * slots * state->packed_products);
  }
  if (shares) op.packings->Remember(key, packed);
  return PTQ_OK;
}

// T: float or Half.
template <typename T>
ptq_status PrepareGemmReal(const GemmRealKernel<T>& kernel, const Convolution& conv,
                           ConvState* state, Pooled<T>* weights, Array<T>* bias) {
  const ConvGeometry& g = state->geometry;
  ChooseRows(kernel.mr, kernel.nr, 1, sizeof(T), kernel.packs_rows ? kPackedRowColumns : 1, state);
  const size_t slots = state->blocks * state->nr, outputs = g.GroupOutputs();
  PTQ_RETURN_IF_ERROR(PackGroups(conv.W(), 1, 1, state, conv.op, weights));
  PTQ_RETURN_IF_ERROR(bias->Allocate(g.groups * slots));
  if (conv.b == nullptr) return PTQ_OK;
  for (size_t group = 0; group < g.groups; ++group) {
    memcpy(bias->data() + group * slots, static_cast<const T*>(conv.b->data) + group * outputs,
           outputs * sizeof(T));
  }
  return PTQ_OK;
}

ptq_status PrepareGemmF32(uint32_t features, const Convolution& conv, ConvState* state) {
  state->gemm_f32 = SelectKernel(kGemmF32Kernels, features);
  return PrepareGemmReal(*state->gemm_f32, conv, state, &state->weights_f32, &state->bias_f32);
}

ptq_status PrepareGemmF16(uint32_t features, const Convolution& conv, ConvState* state) {
  state->gemm_f16 = SelectKernel(kGemmF16Kernels, features);
  return PrepareGemmReal(*state->gemm_f16, conv, state, &state->weights_f16, &state->bias_f16);
}

ptq_status PrepareGemmI8(uint32_t features, const Convolution& conv, ConvState* state) {
  const ConvGeometry& g = state->geometry;
  const GemmI8Kernel* kernel = SelectKernel(kGemmI8Kernels, features);
  state->gemm_i8 = kernel;
  ChooseRows(kernel->mr, kernel->nr, kernel->kd, sizeof(int8_t), 1, state);
  const size_t slots = state->blocks * state->nr, outputs = g.GroupOutputs();
  state->shifted_sums = kernel->shifted_sums && conv.output.dtype == kI8;
  state->small_results = true;
  PTQ_RETURN_IF_ERROR(
      PackGroups(conv.W(), kernel->kr, kernel->kd, state, conv.op, &state->weights_i8));
  PTQ_RETURN_IF_ERROR(state->bias_i32.Allocate(g.groups * slots));
  PTQ_RETURN_IF_ERROR(state->multiplier.Allocate(g.groups * slots));
  for (size_t group = 0; group < g.groups; ++group) {
    for (size_t j = 0; j < outputs; ++j) {
      PTQ_RETURN_IF_ERROR(PrepareChannelI8(conv, group * outputs + j, group * slots + j,
                                           g.Taps() * g.GroupInputs(), state));
    }
  }
  ShiftBias(state);
  return PTQ_OK;
}

// Packs the filters for `kernel`.
template <typename T, typename Kernel>
ptq_status PackFilters(const Tensor& w, const Kernel& kernel, const DepthwiseShape& shape,
                       Pool* pool, Pooled<T>* packed) {
  const uint64_t most = RoundUp(shape.channels, kDepthwiseChannelBlock);
  uint64_t size = 0;
  if (!Multiply(most * sizeof(T), 4 * shape.kernel_h * shape.kernel_w, &size) || size > SIZE_MAX)
    return OutOfMemory();
  PTQ_RETURN_IF_ERROR(pool->Allocate(kernel.packing.size(shape), packed));
  kernel.packing.pack(shape, static_cast<const T*>(w.data), packed->data());
  return PTQ_OK;
}

// T: float or Half.
template <typename T>
ptq_status PrepareDepthwiseReal(const DepthwiseKernel<T, DepthwiseRealRow<T>>& kernel,
                                const Convolution& conv, ConvState* state, Pooled<T>* weights,
                                Array<T>* bias) {
  const size_t channels = state->geometry.out_c;
  PTQ_RETURN_IF_ERROR(PackFilters(conv.W(), kernel, state->depthwise_shape, conv.op.pool, weights));
  PTQ_RETURN_IF_ERROR(
      bias->Allocate(static_cast<size_t>(RoundUp(channels, kDepthwiseChannelBlock))));
  if (conv.b != nullptr) memcpy(bias->data(), conv.b->data, channels * sizeof(T));
  return PTQ_OK;
}

ptq_status PrepareDepthwise(uint32_t features, const Convolution& conv, ConvState* state) {
  const ConvGeometry& g = state->geometry;
  const size_t slots = static_cast<size_t>(RoundUp(g.out_c, kDepthwiseChannelBlock));
  state->depthwise_shape = {g.out_c, g.h.kernel, g.w.kernel, g.w.stride, g.w.dilation};
  if (conv.X().dtype == kF32) {
    state->depthwise_f32 = SelectDepthwise(kDepthwiseF32Kernels, features, state->depthwise_shape);
    return PrepareDepthwiseReal(*state->depthwise_f32, conv, state, &state->weights_f32,
                                &state->bias_f32);
  }
  if (conv.X().dtype == kF16) {
    state->depthwise_f16 = SelectDepthwise(kDepthwiseF16Kernels, features, state->depthwise_shape);
    return PrepareDepthwiseReal(*state->depthwise_f16, conv, state, &state->weights_f16,
                                &state->bias_f16);
  }
  const auto* kernel = SelectDepthwise(kDepthwiseI8Kernels, features, state->depthwise_shape);
  state->depthwise_i8 = kernel;
  state->shifted_sums = kernel->shifted_sums && conv.output.dtype == kI8;
  PTQ_RETURN_IF_ERROR(
      PackFilters(conv.W(), *kernel, state->depthwise_shape, conv.op.pool, &state->weights_i8));
  PTQ_RETURN_IF_ERROR(state->bias_i32.Allocate(slots));
  PTQ_RETURN_IF_ERROR(state->multiplier.Allocate(slots));
  for (size_t c = 0; c < g.out_c; ++c)
    PTQ_RETURN_IF_ERROR(PrepareChannelI8(conv, c, c, g.Taps(), state));
  ShiftBias(state);
  return PTQ_OK;
}

// What a gemm kernel with these `weights` needs of the operator.
template <typename T, typename Kernel>
void SetGemm(const Kernel& kernel, const Pooled<T>& weights, PreparedOp* op, ConvState* state) {
  op->run = RunGemmConvolution;
  op->weights = {weights.data(), weights.size() * sizeof(T)};
  op->kernel = kernel.name;
  const uint64_t mr = state->mr;
  op->TakeWorkspace(mr * state->gemm_taps * sizeof(void*) + mr * state->patch_stride * sizeof(T) +
                    kReadSlack);
  if constexpr (sizeof(T) > 1) {
    state->scratch_offset = op->TakeWorkspace(
        uint64_t{sizeof(T)} * kernel.ScratchElements(state->gemm_taps, state->gemm_depth));
  }
}

ptq_status PrepareGemm(uint32_t features, const Convolution& conv, PreparedOp* op,
                       ConvState* state) {
  switch (conv.X().dtype) {
    case kF32:
      PTQ_RETURN_IF_ERROR(PrepareGemmF32(features, conv, state));
      SetGemm(*state->gemm_f32, state->weights_f32, op, state);
      return PrepareLongSums(features, op);
    case kF16:
      PTQ_RETURN_IF_ERROR(PrepareGemmF16(features, conv, state));
      SetGemm(*state->gemm_f16, state->weights_f16, op, state);
      return PTQ_OK;
    default:
      PTQ_RETURN_IF_ERROR(PrepareGemmI8(features, conv, state));
      SetGemm(*state->gemm_i8, state->weights_i8, op, state);
      return PTQ_OK;
  }
}

// A constant input has no kReadSlack behind it in the file: it is copied.
template <typename T>
ptq_status CopyConstant(const Tensor& x, Array<T>* copy) {
  if (x.storage != kConstant) return PTQ_OK;
  PTQ_RETURN_IF_ERROR(copy->Allocate(static_cast<size_t>(x.size) / sizeof(T)));
  memcpy(copy->data(), x.data, static_cast<size_t>(x.size));
  return PTQ_OK;
}

}  // namespace

ConvOutput PlainOutput(const PreparedOp& op, const ClampAttrs& clamp) {
  const Tensor& y = op.Output();
  return {y.dtype, y.scale_count != 0 ? y.scales[0] : 1.0f, y.zero_point, clamp};
}

ptq_status PrepareConvolution(uint32_t features, const ConvGeometry& geometry,
                              const ConvOutput& output, const Tensor* b, PreparedOp* op) {
  ConvState* state = op->MakeState<ConvState>();
  if (state == nullptr) return OutOfMemory();
  state->geometry = geometry;
  op->macs = static_cast<uint64_t>(geometry.batch) * geometry.out_h * geometry.out_w *
             geometry.out_c * geometry.Taps() * geometry.GroupInputs();
  state->lo = output.clamp.lo;
  state->hi = output.clamp.hi;
  state->range = MakeOutputRange(output.zero_point, output.clamp.q_min, output.clamp.q_max);

  const Convolution conv = {*op, b, output};
  const Tensor& x = conv.X();
  const bool depthwise =
      geometry.groups == geometry.in_c && geometry.out_c == geometry.in_c && geometry.groups > 1;
  if (depthwise) {
    PTQ_RETURN_IF_ERROR(PrepareDepthwise(features, conv, state));
    op->run = RunDepthwiseConvolution;
    op->kernel = state->depthwise_i8 != nullptr    ? state->depthwise_i8->name
                 : state->depthwise_f16 != nullptr ? state->depthwise_f16->name
                                                   : state->depthwise_f32->name;
    op->TakeWorkspace(uint64_t{sizeof(void*)} * geometry.h.kernel *
                      state->depthwise_shape.Columns(geometry.out_w));
  } else if (x.dtype == kF32 && SuitsWinograd(geometry) &&
             WinogradKeepsDigits(static_cast<const float*>(conv.W().data), geometry.out_c,
                                 geometry.in_c)) {
    PTQ_RETURN_IF_ERROR(PrepareWinograd(features, b, op));
  } else {
    PTQ_RETURN_IF_ERROR(PrepareGemm(features, conv, op, state));
  }

  const size_t padding = Max(geometry.in_c, state->gemm_depth);  // a pixel or a line
  switch (x.dtype) {
    case kF32:
      PTQ_RETURN_IF_ERROR(CopyConstant(x, &state->input_f32));
      return state->padding_f32.Allocate(padding);
    case kF16:
      PTQ_RETURN_IF_ERROR(CopyConstant(x, &state->input_f16));
      return state->padding_f16.Allocate(padding);
    default:
      PTQ_RETURN_IF_ERROR(CopyConstant(x, &state->input_i8));
      PTQ_RETURN_IF_ERROR(state->padding_i8.Allocate(padding));
      memset(state->padding_i8.data(), x.zero_point, padding);
      return PTQ_OK;
  }
}

}  // namespace ptq
