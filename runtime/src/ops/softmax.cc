// softmax: x f32 -> y of the same shape, along one axis. Where the axis is not the innermost one,
// neighbouring columns are turned into rows in the workspace, for the kernel's sake.
#include "base/math.h"
#include "kernels/softmax/contract.h"
#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 2048;
constexpr size_t kColumns = 16;  // floats of a cache line
constexpr size_t kMaxWorkspace = 1u << 20;

struct SoftmaxState {
  const SoftmaxKernel* kernel;
  size_t outer, count, inner;  // the product of the dimensions before, of, and after the axis
};

void RunRows(const PreparedOp& op, const RunContext& run) {
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

void RunColumns(const PreparedOp& op, const RunContext& run) {
  const SoftmaxState& s = op.State<SoftmaxState>();
  const float* x = ReadData<float>(*op.Input(0), run);
  float* y = WriteData<float>(op.Output(), run);
  const size_t blocks = CeilDiv(s.inner, kColumns);
  auto body = [&](size_t begin, size_t end, size_t thread) {
    float* from = reinterpret_cast<float*>(run.Workspace(thread));
    float* to = from + kColumns * s.count;
    for (size_t item = begin; item < end; ++item) {
      const size_t column = item % blocks * kColumns, width = Min(kColumns, s.inner - column);
      const size_t at = item / blocks * s.count * s.inner + column;
      for (size_t i = 0; i < s.count; ++i) {
        for (size_t c = 0; c < width; ++c) from[c * s.count + i] = x[at + i * s.inner + c];
      }
      for (size_t c = 0; c < width; ++c)
        s.kernel->run(from + c * s.count, to + c * s.count, s.count, 1);
      for (size_t i = 0; i < s.count; ++i) {
        for (size_t c = 0; c < width; ++c) y[at + i * s.inner + c] = to[c * s.count + i];
      }
    }
  };
  run.pool->ParallelFor(s.outer * blocks, kGrainElements / (s.count * kColumns) + 1, body);
}

}  // namespace

ptq_status PrepareSoftmax(uint32_t features, PreparedOp* op) {
  const Tensor& x = *op->Input(0);
  const uint32_t axis = op->GetAttrs<SoftmaxAttrs>().axis;
  SoftmaxState* state = op->MakeState<SoftmaxState>();
  if (state == nullptr) return OutOfMemory();
  state->kernel = SelectKernel(kSoftmaxKernels, features);
  SplitAtAxis(x, axis, &state->outer, &state->count, &state->inner);
  op->kernel = state->kernel->name;
  op->run = RunRows;
  const uint64_t workspace = uint64_t{2 * kColumns * sizeof(float)} * state->count;
  if (state->inner > 1 && workspace <= kMaxWorkspace) {
    op->TakeWorkspace(workspace);
    op->run = RunColumns;
  }
  return PTQ_OK;
}

}  // namespace ptq
