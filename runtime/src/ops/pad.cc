// pad: y.dims[i] = before[i] + x.dims[i] + after[i], filled with a constant.
#include <inttypes.h>
#include <math.h>

#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;

struct PadState {
  PadAttrs attrs;
  uint32_t rank;  // at least 1
};

template <typename T>
void Fill(T* y, size_t count, T value) {
  for (size_t i = 0; i < count; ++i) y[i] = value;
}

// A row is the innermost dimension: all padding, or before, data, after.
template <typename T>
void RunPadOf(const PreparedOp& op, const RunContext& run, T value) {
  const PadState& s = op.State<PadState>();
  const Tensor &x = *op.Input(0), &y = op.Output();
  const uint32_t last = s.rank - 1;
  const size_t width = y.dims[last], x_width = x.dims[last], before = s.attrs.before[last];
  const T* input = ReadData<T>(x, run);
  T* output = WriteData<T>(y, run);
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t row = begin; row < end; ++row) {
      size_t index = row, x_row = 0, x_stride = 1;
      bool inside = true;
      for (uint32_t d = last; d-- > 0; index /= y.dims[d]) {
        const size_t at = index % y.dims[d], pad = s.attrs.before[d];
        inside = inside && at >= pad && at - pad < x.dims[d];
        if (inside) x_row += (at - pad) * x_stride;
        x_stride *= x.dims[d];
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
  run.pool->ParallelFor(static_cast<size_t>(y.elements) / width, kGrainElements / width + 1, body);
}

void RunPad(const PreparedOp& op, const RunContext& run) {
  const PadAttrs& attrs = op.State<PadState>().attrs;
  if (op.Output().dtype == kF32) {
    RunPadOf<float>(op, run, attrs.value);
  } else {
    RunPadOf<int8_t>(op, run, static_cast<int8_t>(attrs.q_value));
  }
}

}  // namespace

ptq_status PreparePad(uint32_t, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  PTQ_RETURN_IF_ERROR(CheckDType("x", x, 1u << kF32 | 1u << kI8));
  PTQ_RETURN_IF_ERROR(CheckDType("output", y, 1u << x.dtype));
  PTQ_RETURN_IF_ERROR(CheckRank("output", y, x.rank));
  PTQ_RETURN_IF_ERROR(CheckPerTensor("x", x));
  PTQ_RETURN_IF_ERROR(CheckSameQparams(x, y));
  PadState* state = op->MakeState<PadState>();
  if (state == nullptr) return OutOfMemory();
  state->attrs = op->GetAttrs<PadAttrs>();
  state->rank = x.rank == 0 ? 1 : x.rank;
  for (uint32_t d = 0; d < kMaxRank; ++d) {
    const uint32_t before = state->attrs.before[d], after = state->attrs.after[d];
    if (d >= x.rank && (before != 0 || after != 0)) {
      return Fail(PTQ_BAD_FILE,
                  "before[%" PRIu32 "], after[%" PRIu32 "]: %" PRIu32 ", %" PRIu32
                  " beyond the rank %" PRIu32,
                  d, d, before, after, x.rank);
    }
    if (d < x.rank) {
      PTQ_RETURN_IF_ERROR(
          CheckDim("output", y, d, static_cast<uint64_t>(before) + x.dims[d] + after));
    }
  }
  if (x.dtype == kI8 && (state->attrs.q_value < -128 || state->attrs.q_value > 127)) {
    return Fail(PTQ_BAD_FILE, "q_value: %" PRId32 " is not in -128 ... 127", state->attrs.q_value);
  }
  if (x.dtype == kF32 && isnan(state->attrs.value)) return Fail(PTQ_BAD_FILE, "value: NaN");
  op->kernel = "pad_copy__scalar";
  op->run = RunPad;
  return PTQ_OK;
}

}  // namespace ptq
