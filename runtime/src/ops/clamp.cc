// clamp: x -> y of the same shape and dtype; for i8 it also requantizes.
#include "kernels/convert/contract.h"
#include "kernels/elementwise/contract.h"
#include "ops/int8_table.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 32768;

struct ClampState {
  ClampAttrs clamp;
  const ClampF32Kernel* f32;
  const ClampF16Kernel* f16;
  const LookupKernel* i8;
  Int8Table table;
};

template <typename T>
void RunReal(const PreparedOp& op, const RunContext& run, const ClampRealKernel<T>& kernel) {
  const ClampAttrs& clamp = op.State<ClampState>().clamp;
  const T* x = ReadData<T>(*op.Input(0), run);
  T* y = WriteData<T>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    kernel.run(x + begin, y + begin, end - begin, clamp.lo, clamp.hi);
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements), kGrainElements, body);
}

void RunF32(const PreparedOp& op, const RunContext& run) {
  RunReal(op, run, *op.State<ClampState>().f32);
}

void RunF16(const PreparedOp& op, const RunContext& run) {
  RunReal(op, run, *op.State<ClampState>().f16);
}

void RunI8(const PreparedOp& op, const RunContext& run) {
  const ClampState& s = op.State<ClampState>();
  const int8_t* x = ReadData<int8_t>(*op.Input(0), run);
  int8_t* y = WriteData<int8_t>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    s.i8->run(x + begin, y + begin, end - begin, s.table.values);
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements), kGrainElements, body);
}

}  // namespace

ptq_status PrepareClamp(uint32_t features, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  ClampState* state = op->MakeState<ClampState>();
  if (state == nullptr) return OutOfMemory();
  state->clamp = op->GetAttrs<ClampAttrs>();
  if (x.dtype == kF32) {
    state->f32 = SelectKernel(kClampF32Kernels, features);
    op->kernel = state->f32->name;
    op->run = RunF32;
    return PTQ_OK;
  }
  if (x.dtype == kF16) {
    state->f16 = SelectKernel(kClampF16Kernels, features);
    op->kernel = state->f16->name;
    op->run = RunF16;
    return PTQ_OK;
  }
  state->i8 = SelectKernel(kLookupKernels, features);
  op->kernel = state->i8->name;
  op->run = RunI8;
  MakeRequantizeTable(x, y, state->clamp, &state->table);
  return PTQ_OK;
}

}  // namespace ptq
