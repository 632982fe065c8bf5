// The walk over rows.
#include "ops/plain_rows.h"

#include "ops/strides.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 4096;

struct PlainRowsState {
  Strides<2> strides;
  PlainRow row;
};

void RunPlainRows(const PreparedOp& op, const RunContext& run) {
  const PlainRowsState& s = op.State<PlainRowsState>();
  const Tensor &x = *op.Input(0), &z = *op.Input(1), &y = op.Output();
  const uint8_t *a = ReadData<uint8_t>(x, run), *b = ReadData<uint8_t>(z, run);
  uint8_t* to = WriteData<uint8_t>(y, run);
  const size_t size = ElementSize(x.dtype), y_size = ElementSize(y.dtype);
  const size_t width = s.strides.width();
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t row = begin; row < end; ++row) {
      size_t at[2];
      s.strides.Row(row, at);
      if (!s.row(a + at[0] * size, s.strides.step(0), b + at[1] * size, s.strides.step(1),
                 to + row * width * y_size, width))
        run.Fail();
    }
  };
  run.pool->ParallelFor(static_cast<size_t>(y.elements) / width, kGrainElements / width + 1, body);
}

}  // namespace

ptq_status PreparePlainRows(PlainRow row, const char* kernel, PreparedOp* op) {
  PlainRowsState* state = op->MakeState<PlainRowsState>();
  if (state == nullptr) return OutOfMemory();
  const Tensor* operands[] = {op->Input(0), op->Input(1)};
  PTQ_RETURN_IF_ERROR(state->strides.Broadcast(operands, op->Output()));
  state->row = row;
  op->kernel = kernel;
  op->run = RunPlainRows;
  return PTQ_OK;
}

}  // namespace ptq
