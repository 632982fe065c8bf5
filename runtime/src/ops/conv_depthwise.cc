// Depthwise convolutions: to prepare one, and to run it, which is to collect the input columns of
// one output row and to call the kernel.
#include "base/math.h"
#include "ops/conv_prepare.h"

namespace ptq {
namespace {

// Less than this on a thread is not worth waking it, in multiply-accumulates.
constexpr size_t kGrainMacs = 16384;

// columns[x][ky] for output row `row` (of all pictures): input pixels, or `padding`. Written
// without a condition in the inner loops: for narrow pictures of few channels they cost as much as
// the kernel.
template <typename T>
void CollectColumns(const ConvGeometry& g, const T* input, const T* padding, size_t row,
                    size_t count, const T** columns) {
  const T* picture = input + row / g.out_h * g.in_h * g.in_w * g.in_c;
  const size_t left = Min<size_t>(g.w.pad_begin, count), right = Min(left + g.in_w, count);
  int64_t y = static_cast<int64_t>(row % g.out_h * g.h.stride) - g.h.pad_begin;
  for (uint32_t ky = 0; ky < g.h.kernel; ++ky, y += g.h.dilation) {
    const bool inside = y >= 0 && y < static_cast<int64_t>(g.in_h);
    const T* pixel = inside ? picture + static_cast<size_t>(y) * g.in_w * g.in_c : padding;
    const size_t step = inside ? g.in_c : 0;
    const T** column = columns + ky;
    size_t x = 0;
    for (; x < left; ++x, column += g.h.kernel) *column = padding;
    for (; x < right; ++x, column += g.h.kernel, pixel += step) *column = pixel;
    for (; x < count; ++x, column += g.h.kernel) *column = padding;
  }
}

template <typename T>
void RunRow(const DepthwiseState<T>& s, const T* const* columns, void* y, DType) {
  s.kernel->run({columns, s.shape, s.geometry.out_w, s.weights.data(), s.channels.bias.data(),
                 static_cast<T*>(y), s.geometry.out_c, s.lo, s.hi});
}

void RunRow(const DepthwiseState<int8_t>& s, const int8_t* const* columns, void* y, DType dtype) {
  const bool to_float = dtype == kF32;
  s.kernel->run({columns, s.shape, s.geometry.out_w, s.weights.data(), s.channels.bias.data(),
                 s.channels.multiplier.data(), to_float ? nullptr : static_cast<int8_t*>(y),
                 s.range, to_float ? static_cast<float*>(y) : nullptr, s.lo, s.hi, s.geometry.out_c,
                 s.channels.shifted_sums});
}

template <typename T>
void RunDepthwise(const PreparedOp& op, const RunContext& run) {
  const DepthwiseState<T>& s = op.State<DepthwiseState<T>>();
  const ConvGeometry& g = s.geometry;
  const T* input = s.Input(op, run);
  const size_t columns = s.shape.Columns(g.out_w);
  uint8_t* output = WriteData<uint8_t>(op.Output(), run);
  const DType dtype = op.Output().dtype;
  const size_t element_size = ElementSize(dtype);
  auto body = [&](size_t begin, size_t end, size_t thread) {
    const T** pointers = reinterpret_cast<const T**>(run.Workspace(thread));
    for (size_t row = begin; row < end; ++row) {
      const size_t at = row * g.out_w * g.out_c;
      CollectColumns(g, input, s.padding.data(), row, columns, pointers);
      if (s.residual.kernel == nullptr) {
        RunRow(s, pointers, output + at * element_size, dtype);
        continue;
      }
      void* tile = run.Workspace(thread) + s.residual.tile_offset;
      RunRow(s, pointers, tile, dtype);
      AddResidual(op, run, s, tile, at, g.out_w, g.out_c);
    }
  };
  run.pool->ParallelFor(g.batch * g.out_h,
                        kGrainMacs / Max<size_t>(g.Taps() * g.out_w * g.out_c, 1) + 1, body);
}

// Packs the filters for the state's kernel.
template <typename T>
ptq_status PackFilters(const Tensor& w, Pool* pool, DepthwiseState<T>* state) {
  const DepthwiseShape& shape = state->shape;
  const DepthwisePacking<T>& packing = state->kernel->packing;
  const uint64_t most = RoundUp(shape.channels, kDepthwiseChannelBlock);
  uint64_t size = 0;
  if (!Multiply(most * sizeof(T), 4 * shape.kernel_h * shape.kernel_w, &size) || size > SIZE_MAX)
    return OutOfMemory();
  PTQ_RETURN_IF_ERROR(pool->Allocate(packing.size(shape), &state->weights));
  packing.pack(shape, static_cast<const T*>(w.data), state->weights.data());
  return PTQ_OK;
}

const KernelList<DepthwiseF32Kernel>& Kernels(float) { return kDepthwiseF32Kernels; }
const KernelList<DepthwiseF16Kernel>& Kernels(Half) { return kDepthwiseF16Kernels; }
const KernelList<DepthwiseI8Kernel>& Kernels(int8_t) { return kDepthwiseI8Kernels; }

}  // namespace

template <typename T>
ptq_status PrepareDepthwise(uint32_t features, const Convolution& conv, PreparedOp* op) {
  auto* state = MakeConvState<DepthwiseState<T>>(conv, op);
  if (state == nullptr) return OutOfMemory();
  const ConvGeometry& g = conv.geometry;
  state->shape = {g.out_c, g.h.kernel, g.w.kernel, g.w.stride, g.w.dilation};
  state->kernel = SelectDepthwise(Kernels(T{}), features, state->shape);
  if (state->kernel == nullptr) return NoKernel(conv.x.dtype);
  PTQ_RETURN_IF_ERROR(PackFilters(conv.w, op->pool, state));
  const size_t slots = static_cast<size_t>(RoundUp(g.out_c, kDepthwiseChannelBlock));
  PTQ_RETURN_IF_ERROR(PrepareChannels(conv, {1, g.out_c, slots}, *state->kernel, &state->channels));
  op->run = RunDepthwise<T>;
  op->kernel = state->kernel->name;
  op->TakeWorkspace(uint64_t{sizeof(void*)} * g.h.kernel * state->shape.Columns(g.out_w));
  PTQ_RETURN_IF_ERROR(PrepareInput(conv.x, g.in_c, state));
  return PrepareResidual(features, conv, uint64_t{g.out_w} * g.out_c, op, &state->residual);
}

template ptq_status PrepareDepthwise<float>(uint32_t, const Convolution&, PreparedOp*);
template ptq_status PrepareDepthwise<Half>(uint32_t, const Convolution&, PreparedOp*);
template ptq_status PrepareDepthwise<int8_t>(uint32_t, const Convolution&, PreparedOp*);

}  // namespace ptq
