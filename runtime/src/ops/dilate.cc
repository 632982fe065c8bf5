// dilate: x with step - 1 fillers between neighbours of each dimension.
#include <math.h>

#include "base/math.h"
#include "kernels/copy/contract.h"
#include "ops/checks.h"
#include "ops/fill.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;

// A line of y is its innermost dilated dimension with all that lies inside of it: `count` blocks of
// x that were side by side. Lines between those of x are all filler.
struct DilateState {
  const CopyKernel* copy;
  uint32_t line_axis;    // dimensions before it are walked line by line
  size_t block;          // elements
  size_t count, y_step;  // blocks of x in a line; elements of y from one to the next
  DilateAttrs attrs;
};

template <typename T>
void RunDilateOf(const PreparedOp& op, const RunContext& run, T value) {
  const DilateState& s = op.State<DilateState>();
  const Tensor &x = *op.Input(0), &y = op.Output();
  const T* input = ReadData<T>(x, run);
  T* output = WriteData<T>(y, run);
  const size_t x_line = s.count * s.block, y_line = (s.count - 1) * s.y_step + s.block;
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t line = begin; line < end; ++line) {
      size_t index = line, from = 0, stride = x_line;
      bool filler = false;
      for (uint32_t d = s.line_axis; d-- > 0; index /= y.dims[d]) {
        const size_t at = index % y.dims[d], step = s.attrs.step[d];
        filler = filler || at % step != 0;
        from += at / step * stride;
        stride *= x.dims[d];
      }
      T* to = output + line * y_line;
      if (filler || s.count > 1) Fill(to, y_line, value);
      if (filler) continue;
      const size_t block_bytes = s.block * sizeof(T);
      s.copy->rows({reinterpret_cast<const uint8_t*>(input + from),
                    static_cast<ptrdiff_t>(block_bytes), reinterpret_cast<uint8_t*>(to),
                    static_cast<ptrdiff_t>(s.y_step * sizeof(T)), block_bytes, s.count});
    }
  };
  run.pool->ParallelFor(static_cast<size_t>(y.elements) / y_line, kGrainElements / y_line + 1,
                        body);
}

void RunDilate(const PreparedOp& op, const RunContext& run) {
  const DilateAttrs& attrs = op.State<DilateState>().attrs;
  WithFiller(op.Output().dtype, attrs.value, attrs.q_value,
             [&](auto filler) { RunDilateOf(op, run, filler); });
}

ptq_status CheckSteps(const Tensor& x, const Tensor& y, const DilateAttrs& attrs) {
  for (uint32_t d = 0; d < x.rank; ++d) {
    const uint64_t step = attrs.step[d];
    PTQ_RETURN_IF_ERROR(CheckDim("output", y, d, (uint64_t{x.dims[d]} - 1) * step + 1));
  }
  return PTQ_OK;
}

void FindLines(const Tensor& x, DilateState* state) {
  uint32_t d = x.rank;
  state->block = 1;
  while (d > 0 && (state->attrs.step[d - 1] == 1 || x.dims[d - 1] == 1))
    state->block *= x.dims[--d];
  state->line_axis = d == 0 ? 0 : d - 1;
  state->count = d == 0 ? 1 : x.dims[d - 1];
  state->y_step = d == 0 ? state->block : state->attrs.step[d - 1] * state->block;
}

}  // namespace

ptq_status PrepareDilate(uint32_t features, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  DilateState* state = op->MakeState<DilateState>();
  if (state == nullptr) return OutOfMemory();
  state->attrs = op->GetAttrs<DilateAttrs>();
  PTQ_RETURN_IF_ERROR(CheckSteps(x, y, state->attrs));
  PTQ_RETURN_IF_ERROR(CheckFiller(x.dtype, state->attrs.value, state->attrs.q_value));
  FindLines(x, state);
  state->copy = SelectKernel(kCopyKernels, features);
  op->kernel = state->copy->name;
  op->run = RunDilate;
  return PTQ_OK;
}

}  // namespace ptq
