// f16 operators on a CPU that does not compute in half precision: the same operator in float32,
// with its inputs widened before it and its output rounded after it. Constants are widened once, at
// load.
#include <inttypes.h>

#include "kernels/convert/contract.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;
constexpr uint32_t kMostInputs = 4;

// The operator in float32. Its tensors lie in the scratch as others lie in the arena.
struct ThroughF32State {
  Tensor tensors[kMostInputs + 1];  // inputs, then the output
  uint32_t indices[kMostInputs + 1];
  Array<float> constants[kMostInputs];  // by input
  Operator op;
  PreparedOp inner;
  const ToFloatKernel* widen;
  const ToHalfKernel* narrow;

  ~ThroughF32State() {
    if (inner.destroy_state != nullptr) inner.destroy_state(inner.state);
  }
};

void RunThroughF32(const PreparedOp& op, const RunContext& run) {
  const ThroughF32State& s = op.State<ThroughF32State>();
  RunContext inner_run = run;
  inner_run.arena = run.scratch;
  for (uint32_t i = 0; i < op.op->input_count; ++i) {
    const Tensor* x = op.Input(i);
    if (x == nullptr || x->storage == kConstant) continue;
    const Half* from = ReadData<Half>(*x, run);
    float* to = WriteData<float>(s.tensors[i], inner_run);
    auto body = [&](size_t begin, size_t end, size_t) {
      s.widen->run(from + begin, to + begin, end - begin);
    };
    run.pool->ParallelFor(static_cast<size_t>(x->elements), kGrainElements, body);
  }
  s.inner.run(s.inner, inner_run);
  const float* from = ReadData<float>(s.inner.Output(), inner_run);
  Half* to = WriteData<Half>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    s.narrow->run(from + begin, to + begin, end - begin);
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements), kGrainElements, body);
}

// `half` in float32, without a place.
Tensor Widened(const Tensor& half) {
  Tensor wide = half;
  wide.dtype = kF32;
  wide.size = 2 * half.size;
  return wide;
}

}  // namespace

ptq_status PrepareThroughF32(uint32_t features, PreparedOp* op) {
  const Operator& half = *op->op;
  if (half.input_count > kMostInputs) {
    return Fail(PTQ_UNSUPPORTED, "input_count: %" PRIu32 " of f16, at most %" PRIu32,
                half.input_count, kMostInputs);
  }
  ThroughF32State* state = op->MakeState<ThroughF32State>();
  if (state == nullptr) return OutOfMemory();
  state->widen = SelectKernel(kToFloatKernels, features);
  state->narrow = SelectKernel(kToHalfKernels, features);
  const auto place = [op](Tensor* tensor) {
    tensor->offset = op->scratch;
    op->scratch += RoundUp(tensor->size + kReadSlack, kAlignment);
  };
  for (uint32_t i = 0; i < half.input_count; ++i) {
    const Tensor* x = op->Input(i);
    state->indices[i] = x != nullptr ? i : kNone;
    if (x == nullptr) continue;
    Tensor* wide = &state->tensors[i];
    *wide = Widened(*x);
    if (x->storage != kConstant) {
      place(wide);
      continue;
    }
    Array<float>* values = &state->constants[i];
    const size_t count = static_cast<size_t>(x->elements);
    PTQ_RETURN_IF_ERROR(values->Allocate(count));
    state->widen->run(static_cast<const Half*>(x->data), values->data(), count);
    wide->data = values->data();
  }
  Tensor* y = &state->tensors[half.input_count];
  *y = Widened(op->Output());
  place(y);
  state->indices[half.input_count] = half.input_count;

  state->op = half;
  state->op.inputs = state->indices;
  state->op.outputs = state->indices + half.input_count;
  PreparedOp* inner = &state->inner;
  inner->op = &state->op;
  inner->tensors = state->tensors;
  inner->pool = op->pool;
  inner->packings = op->packings;
  PTQ_RETURN_IF_ERROR(FindOpImplementation(half.kind->id)->prepare(features, inner));
  for (uint32_t i = 0; i < half.input_count; ++i) {  // weights are packed by now, biases copied
    if (half.kind->weighted && half.kind->Input(i).is_constant)
      PTQ_RETURN_IF_ERROR(state->constants[i].Allocate(0));
  }
  op->workspace_per_thread = inner->workspace_per_thread;
  op->steps = inner->steps;
  op->macs = inner->macs;
  op->kernel = inner->kernel;
  op->run = RunThroughF32;
  return PTQ_OK;
}

}  // namespace ptq
