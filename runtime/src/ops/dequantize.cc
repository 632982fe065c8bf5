// dequantize: x i8 -> y f32 of the same shape.
#include "kernels/convert/contract.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;

struct DequantizeState {
  const DequantizeKernel* kernel;
};

void RunDequantize(const PreparedOp& op, const RunContext& run) {
  const DequantizeKernel* kernel = op.State<DequantizeState>().kernel;
  const int8_t* x = ReadData<int8_t>(*op.Input(0), run);
  float* y = WriteData<float>(op.Output(), run);
  const float scale = op.Input(0)->scales[0];
  const int32_t zero_point = op.Input(0)->zero_point;
  auto body = [&](size_t begin, size_t end, size_t) {
    kernel->run(x + begin, y + begin, end - begin, scale, zero_point);
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements), kGrainElements, body);
}

}  // namespace

ptq_status PrepareDequantize(uint32_t features, PreparedOp* op) {
  DequantizeState* state = op->MakeState<DequantizeState>();
  if (state == nullptr) return OutOfMemory();
  state->kernel = SelectKernel(kDequantizeKernels, features);
  op->kernel = state->kernel->name;
  op->run = RunDequantize;
  return PTQ_OK;
}

}  // namespace ptq
