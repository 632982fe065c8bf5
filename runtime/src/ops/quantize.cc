// quantize: x f32 -> y i8 of the same shape.
#include "kernels/convert/contract.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;

struct QuantizeState {
  const QuantizeKernel* kernel;
};

void RunQuantize(const PreparedOp& op, const RunContext& run) {
  const QuantizeKernel* kernel = op.State<QuantizeState>().kernel;
  const float* x = ReadData<float>(*op.Input(0), run);
  int8_t* y = WriteData<int8_t>(op.Output(), run);
  const float scale = op.Output().scales[0];
  const OutputRange range = MakeOutputRange(op.Output().zero_point, -128, 127);
  auto body = [&](size_t begin, size_t end, size_t) {
    kernel->run(x + begin, y + begin, end - begin, scale, range);
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements), kGrainElements, body);
}

}  // namespace

ptq_status PrepareQuantize(uint32_t features, PreparedOp* op) {
  QuantizeState* state = op->MakeState<QuantizeState>();
  if (state == nullptr) return OutOfMemory();
  state->kernel = SelectKernel(kQuantizeKernels, features);
  op->kernel = state->kernel->name;
  op->run = RunQuantize;
  return PTQ_OK;
}

}  // namespace ptq
