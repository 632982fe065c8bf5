// softmax: x f32 -> y of the same shape, along one axis.
#include <inttypes.h>

#include "kernels/softmax/contract.h"
#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 2048;

struct SoftmaxState {
  const SoftmaxKernel* kernel;
  size_t outer, count, inner;  // the product of the dimensions before, of, and after the axis
};

void RunSoftmax(const PreparedOp& op, const RunContext& run) {
  const SoftmaxState& s = op.State<SoftmaxState>();
  const float* x = ReadData<float>(*op.Input(0), run);
  float* y = WriteData<float>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; ++i) {
      const size_t at = i / s.inner * s.count * s.inner + i % s.inner;
      s.kernel->run(x + at, y + at, s.count, s.inner);
    }
  };
  run.pool->ParallelFor(s.outer * s.inner, kGrainElements / s.count + 1, body);
}

}  // namespace

ptq_status PrepareSoftmax(uint32_t features, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  PTQ_RETURN_IF_ERROR(CheckDType("x", x, 1u << kF32));
  PTQ_RETURN_IF_ERROR(CheckDType("output", y, 1u << kF32));
  PTQ_RETURN_IF_ERROR(CheckSameShape(x, y));
  const uint32_t axis = op->GetAttrs<SoftmaxAttrs>().axis;
  if (axis >= x.rank)
    return Fail(PTQ_BAD_FILE, "axis: %" PRIu32 " is not below the rank %" PRIu32, axis, x.rank);
  SoftmaxState* state = op->MakeState<SoftmaxState>();
  if (state == nullptr) return OutOfMemory();
  state->kernel = SelectKernel(kSoftmaxKernels, kSoftmaxKernelCount, features);
  state->outer = state->inner = 1;
  for (uint32_t d = 0; d < axis; ++d) state->outer *= x.dims[d];
  state->count = x.dims[axis];
  for (uint32_t d = axis + 1; d < x.rank; ++d) state->inner *= x.dims[d];
  op->kernel = state->kernel->name;
  op->run = RunSoftmax;
  return PTQ_OK;
}

}  // namespace ptq
