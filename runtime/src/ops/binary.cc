// add, sub, mul (f32, f16, i8), div, maximum, minimum (f32, f16) and pow (f32) with numpy
// broadcasting; others are in binary_plain.cc.
#include "kernels/elementwise/contract.h"
#include "ops/binary_plain.h"
#include "ops/broadcast.h"
#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;

struct BinaryState {
  BroadcastPlan plan;
  const BinaryF32Kernel* f32;
  const BinaryF16Kernel* f16;
  const BinaryI8Kernel* i8;
  BinaryI8Row i8_parameters;  // without the operands
  ClampAttrs clamp;
};

template <typename T>
void RunReal(const PreparedOp& op, const RunContext& run, const BinaryRealKernel<T>& kernel) {
  const BinaryState& s = op.State<BinaryState>();
  T* y = WriteData<T>(op.Output(), run);
  ForBroadcastRows(
      s.plan, ReadData<T>(*op.Input(0), run), ReadData<T>(*op.Input(1), run), run, kGrainElements,
      [&](const T* a, size_t a_step, const T* b, size_t b_step, size_t at, size_t count) {
        kernel.run({a, b, a_step, b_step, y + at, count, s.clamp.lo, s.clamp.hi});
      });
}

void RunF32(const PreparedOp& op, const RunContext& run) {
  RunReal(op, run, *op.State<BinaryState>().f32);
}

void RunF16(const PreparedOp& op, const RunContext& run) {
  RunReal(op, run, *op.State<BinaryState>().f16);
}

void RunI8(const PreparedOp& op, const RunContext& run) {
  const BinaryState& s = op.State<BinaryState>();
  int8_t* y = WriteData<int8_t>(op.Output(), run);
  ForBroadcastRows(
      s.plan, ReadData<int8_t>(*op.Input(0), run), ReadData<int8_t>(*op.Input(1), run), run,
      kGrainElements,
      [&](const int8_t* a, size_t a_step, const int8_t* b, size_t b_step, size_t at, size_t count) {
        BinaryI8Row row = s.i8_parameters;
        row.a = a;
        row.b = b;
        row.a_step = a_step;
        row.b_step = b_step;
        row.y = y + at;
        row.count = count;
        s.i8->run(row);
      });
}

ptq_status PrepareI8(uint32_t features, const Tensor& a, const Tensor& b, const Tensor& y,
                     PreparedOp* op, BinaryState* state) {
  BinaryI8Row* row = &state->i8_parameters;
  row->a_zero_point = a.zero_point;
  row->b_zero_point = b.zero_point;
  const bool product = op->op->kind->id == kMul;
  row->a_multiplier = (product ? a.scales[0] * b.scales[0] : a.scales[0]) / y.scales[0];
  row->b_multiplier = product ? 0.0f : b.scales[0] / y.scales[0];
  row->range = MakeOutputRange(y.zero_point, state->clamp.q_min, state->clamp.q_max);
  PTQ_RETURN_IF_ERROR(CheckMultiplier("a", row->a_multiplier));
  PTQ_RETURN_IF_ERROR(CheckMultiplier("b", row->b_multiplier));
  state->i8 = SelectForOp(kBinaryI8Kernels, op->op->kind->id, features);
  op->kernel = state->i8->name;
  op->run = RunI8;
  return PTQ_OK;
}

}  // namespace

ptq_status PrepareBinary(uint32_t features, PreparedOp* op) {
  const Tensor &a = *op->Input(0), &b = *op->Input(1), &y = op->Output();
  const uint16_t kind = op->op->kind->id;
  const bool real = a.dtype == kF32 || a.dtype == kF16 || a.dtype == kI8;
  if (!real || kind == kMod) return PrepareBinaryPlain(op);
  const ClampAttrs clamp = op->GetAttrs<ClampAttrs>();
  BinaryState* state = op->MakeState<BinaryState>();
  if (state == nullptr) return OutOfMemory();
  state->clamp = clamp;
  PTQ_RETURN_IF_ERROR(MakeBroadcastPlan(a, b, y, &state->plan));
  if (a.dtype == kI8) return PrepareI8(features, a, b, y, op, state);
  if (a.dtype == kF16) {
    state->f16 = SelectForOp(kBinaryF16Kernels, kind, features);
    op->kernel = state->f16->name;
    op->run = RunF16;
    return PTQ_OK;
  }
  state->f32 = SelectForOp(kBinaryF32Kernels, kind, features);
  op->kernel = state->f32->name;
  op->run = RunF32;
  return PTQ_OK;
}

}  // namespace ptq
