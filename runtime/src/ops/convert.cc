// convert: x f32 -> y f16 or x f16 -> y f32, of the same shape.
#include "kernels/convert/contract.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;

struct ConvertState {
  const ToHalfKernel* to_half;  // one of the two is set
  const ToFloatKernel* to_float;
};

template <typename From, typename To, typename Kernel>
void Convert(const PreparedOp& op, const RunContext& run, const Kernel& kernel) {
  const From* x = ReadData<From>(*op.Input(0), run);
  To* y = WriteData<To>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    kernel.run(x + begin, y + begin, end - begin);
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements), kGrainElements, body);
}

void RunConvert(const PreparedOp& op, const RunContext& run) {
  const ConvertState& s = op.State<ConvertState>();
  if (s.to_half != nullptr) {
    Convert<float, Half>(op, run, *s.to_half);
  } else {
    Convert<Half, float>(op, run, *s.to_float);
  }
}

}  // namespace

ptq_status PrepareConvert(uint32_t features, PreparedOp* op) {
  ConvertState* state = op->MakeState<ConvertState>();
  if (state == nullptr) return OutOfMemory();
  if (op->Output().dtype == kF16) {
    state->to_half = SelectKernel(kToHalfKernels, features);
    op->kernel = state->to_half->name;
  } else {
    state->to_float = SelectKernel(kToFloatKernels, features);
    op->kernel = state->to_float->name;
  }
  op->run = RunConvert;
  return PTQ_OK;
}

}  // namespace ptq
