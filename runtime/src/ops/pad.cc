// pad: y.dims[i] = before[i] + x.dims[i] + after[i], filled with a constant.

#include "ops/checks.h"
#include "ops/fill.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;

// A dimension without padding is one with the dimension before it: padding the rows and columns of
// a picture moves whole rows of pixels.
struct PadState {
  PadAttrs attrs;
  uint32_t rank;  // at least 1
  size_t x_dims[kMaxRank], y_dims[kMaxRank], before[kMaxRank];
};

// A row is the innermost dimension: all padding, or before, data, after.
template <typename T>
void RunPadOf(const PreparedOp& op, const RunContext& run, T value) {
  const PadState& s = op.State<PadState>();
  const uint32_t last = s.rank - 1;
  const size_t width = s.y_dims[last], x_width = s.x_dims[last], before = s.before[last];
  const T* input = ReadData<T>(*op.Input(0), run);
  T* output = WriteData<T>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t row = begin; row < end; ++row) {
      size_t index = row, x_row = 0, x_stride = 1;
      bool inside = true;
      for (uint32_t d = last; d-- > 0; index /= s.y_dims[d]) {
        const size_t at = index % s.y_dims[d], pad = s.before[d];
        inside = inside && at >= pad && at - pad < s.x_dims[d];
        if (inside) x_row += (at - pad) * x_stride;
        x_stride *= s.x_dims[d];
      }
      T* to = output + row * width;
      if (!inside) {
        Fill(to, width, value);
        continue;
      }
      Fill(to, before, value);
      memcpy(to + before, input + x_row * x_width, x_width * sizeof(T));
      Fill(to + before + x_width, width - before - x_width, value);
    }
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements) / width,
                        kGrainElements / width + 1, body);
}

void RunPad(const PreparedOp& op, const RunContext& run) {
  const PadAttrs& attrs = op.State<PadState>().attrs;
  WithFiller(op.Output().dtype, attrs.value, attrs.q_value,
             [&](auto filler) { RunPadOf(op, run, filler); });
}

void Simplify(const Tensor& x, const Tensor& y, PadState* state) {
  state->rank = 0;
  for (uint32_t d = 0; d < x.rank; ++d) {
    const size_t x_dim = x.dims[d], y_dim = y.dims[d];
    if (state->rank > 0 && x_dim == y_dim) {
      state->x_dims[state->rank - 1] *= x_dim;
      state->y_dims[state->rank - 1] *= x_dim;
      state->before[state->rank - 1] *= x_dim;
      continue;
    }
    state->x_dims[state->rank] = x_dim;
    state->y_dims[state->rank] = y_dim;
    state->before[state->rank++] = state->attrs.before[d];
  }
  if (state->rank > 0) return;
  state->rank = 1;
  state->x_dims[0] = state->y_dims[0] = 1;
}

}  // namespace

ptq_status PreparePad(uint32_t, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  PadState* state = op->MakeState<PadState>();
  if (state == nullptr) return OutOfMemory();
  state->attrs = op->GetAttrs<PadAttrs>();
  for (uint32_t d = 0; d < x.rank; ++d) {
    const uint64_t before = state->attrs.before[d], after = state->attrs.after[d];
    PTQ_RETURN_IF_ERROR(CheckDim("output", y, d, before + x.dims[d] + after));
  }
  PTQ_RETURN_IF_ERROR(CheckFiller(x.dtype, state->attrs.value, state->attrs.q_value));
  Simplify(x, y, state);
  op->kernel = "pad_copy__scalar";
  op->run = RunPad;
  return PTQ_OK;
}

}  // namespace ptq
