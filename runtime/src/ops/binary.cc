// add, sub, mul (f32, i8), div (f32) with numpy broadcasting.
#include <inttypes.h>

#include "base/math.h"
#include "kernels/elementwise/contract.h"
#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;

// The output as rows: dims[rank-1] elements are a row, on which each operand is contiguous (step 1)
// or one value (step 0). Neighbouring dimensions with the same pattern are merged, so that tensors
// of equal shape are a single row.
struct BroadcastPlan {
  uint32_t rank;
  size_t dims[kMaxRank];
  size_t a_strides[kMaxRank], b_strides[kMaxRank];  // elements; 0 where broadcast
};

struct BinaryState {
  BroadcastPlan plan;
  const BinaryF32Kernel* f32;
  const BinaryI8Kernel* i8;
  BinaryI8Row i8_parameters;
  ClampAttrs clamp;
};

// Dimension `axis` of `tensor` counted in a shape of `rank`; missing leading dimensions are 1.
uint32_t AlignedDim(const Tensor& tensor, uint32_t axis, uint32_t rank) {
  const uint32_t missing = rank - tensor.rank;
  return axis < missing ? 1 : tensor.dims[axis - missing];
}

ptq_status MakePlan(const Tensor& a, const Tensor& b, const Tensor& y, BroadcastPlan* plan) {
  const uint32_t rank = Max(a.rank, b.rank);
  PTQ_RETURN_IF_ERROR(CheckRank("output", y, rank));
  plan->rank = 0;
  bool previous_a = false, previous_b = false;
  for (uint32_t axis = 0; axis < rank; ++axis) {
    const uint32_t a_dim = AlignedDim(a, axis, rank), b_dim = AlignedDim(b, axis, rank),
                   dim = Max(a_dim, b_dim);
    if ((a_dim != dim && a_dim != 1) || (b_dim != dim && b_dim != 1)) {
      return Fail(PTQ_BAD_FILE,
                  "inputs: dimension %" PRIu32 " is %" PRIu32 " and %" PRIu32
                  "; they do not broadcast",
                  axis, a_dim, b_dim);
    }
    PTQ_RETURN_IF_ERROR(CheckDim("output", y, axis, dim));
    if (dim == 1) continue;
    const bool full_a = a_dim == dim, full_b = b_dim == dim;
    if (plan->rank > 0 && full_a == previous_a && full_b == previous_b) {
      plan->dims[plan->rank - 1] *= dim;
      continue;
    }
    // Strides are marked 1 (moves) or 0 (broadcast) here and scaled below, when all inner
    // dimensions are known.
    plan->dims[plan->rank] = dim;
    plan->a_strides[plan->rank] = previous_a = full_a;
    plan->b_strides[plan->rank] = previous_b = full_b;
    ++plan->rank;
  }
  if (plan->rank == 0) {
    plan->dims[0] = plan->a_strides[0] = plan->b_strides[0] = 1;
    plan->rank = 1;
  }
  size_t a_stride = 1, b_stride = 1;
  for (uint32_t axis = plan->rank; axis-- > 0;) {
    if (plan->a_strides[axis] != 0) {
      plan->a_strides[axis] = a_stride;
      a_stride *= plan->dims[axis];
    }
    if (plan->b_strides[axis] != 0) {
      plan->b_strides[axis] = b_stride;
      b_stride *= plan->dims[axis];
    }
  }
  return PTQ_OK;
}

// Calls row(a_offset, b_offset, y_offset, count) for pieces of rows, in parallel over all elements.
template <typename Row>
void ForRows(const BroadcastPlan& plan, const RunContext& run, Row row) {
  const size_t width = plan.dims[plan.rank - 1];
  size_t total = 1;
  for (uint32_t axis = 0; axis < plan.rank; ++axis) total *= plan.dims[axis];
  auto body = [&](size_t begin, size_t end, size_t) {
    while (begin < end) {
      const size_t column = begin % width, count = Min(width - column, end - begin);
      size_t a = column * plan.a_strides[plan.rank - 1], b = column * plan.b_strides[plan.rank - 1];
      size_t index = begin / width;
      for (uint32_t axis = plan.rank - 1; axis-- > 0; index /= plan.dims[axis]) {
        a += index % plan.dims[axis] * plan.a_strides[axis];
        b += index % plan.dims[axis] * plan.b_strides[axis];
      }
      row(a, b, begin, count);
      begin += count;
    }
  };
  run.pool->ParallelFor(total, kGrainElements, body);
}

void RunF32(const PreparedOp& op, const RunContext& run) {
  const BinaryState& s = op.State<BinaryState>();
  const float *a = ReadData<float>(*op.Input(0), run), *b = ReadData<float>(*op.Input(1), run);
  float* y = WriteData<float>(op.Output(), run);
  const size_t a_step = s.plan.a_strides[s.plan.rank - 1],
               b_step = s.plan.b_strides[s.plan.rank - 1];
  ForRows(s.plan, run, [&](size_t a_at, size_t b_at, size_t y_at, size_t count) {
    s.f32->run({a + a_at, b + b_at, a_step, b_step, y + y_at, count, s.clamp.lo, s.clamp.hi});
  });
}

void RunI8(const PreparedOp& op, const RunContext& run) {
  const BinaryState& s = op.State<BinaryState>();
  const int8_t *a = ReadData<int8_t>(*op.Input(0), run), *b = ReadData<int8_t>(*op.Input(1), run);
  int8_t* y = WriteData<int8_t>(op.Output(), run);
  ForRows(s.plan, run, [&](size_t a_at, size_t b_at, size_t y_at, size_t count) {
    BinaryI8Row row = s.i8_parameters;
    row.a = a + a_at;
    row.b = b + b_at;
    row.y = y + y_at;
    row.count = count;
    s.i8->run(row);
  });
}

ptq_status PrepareI8(uint32_t features, const Tensor& a, const Tensor& b, const Tensor& y,
                     PreparedOp* op, BinaryState* state) {
  PTQ_RETURN_IF_ERROR(CheckPerTensor("a", a));
  PTQ_RETURN_IF_ERROR(CheckPerTensor("b", b));
  PTQ_RETURN_IF_ERROR(CheckPerTensor("output", y));
  BinaryI8Row* row = &state->i8_parameters;
  row->a_step = state->plan.a_strides[state->plan.rank - 1];
  row->b_step = state->plan.b_strides[state->plan.rank - 1];
  row->a_zero_point = a.zero_point;
  row->b_zero_point = b.zero_point;
  const bool product = op->op->kind->id == kMul;
  row->a_multiplier = (product ? a.scales[0] * b.scales[0] : a.scales[0]) / y.scales[0];
  row->b_multiplier = product ? 0.0f : b.scales[0] / y.scales[0];
  row->range = MakeOutputRange(y.zero_point, state->clamp.q_min, state->clamp.q_max);
  PTQ_RETURN_IF_ERROR(CheckMultiplier("a", row->a_multiplier));
  PTQ_RETURN_IF_ERROR(CheckMultiplier("b", row->b_multiplier));
  state->i8 = SelectBinaryI8Kernel(op->op->kind->id, features);
  op->kernel = state->i8->name;
  op->run = RunI8;
  return PTQ_OK;
}

}  // namespace

ptq_status PrepareBinary(uint32_t features, PreparedOp* op) {
  const Tensor &a = *op->Input(0), &b = *op->Input(1), &y = op->Output();
  const uint16_t kind = op->op->kind->id;
  const bool has_i8 = kind == kAdd || kind == kSub || kind == kMul;
  PTQ_RETURN_IF_ERROR(CheckDType("a", a, 1u << kF32 | (has_i8 ? 1u << kI8 : 0)));
  PTQ_RETURN_IF_ERROR(CheckDType("b", b, 1u << a.dtype));
  PTQ_RETURN_IF_ERROR(CheckDType("output", y, 1u << a.dtype));
  const ClampAttrs clamp = op->GetAttrs<ClampAttrs>();
  PTQ_RETURN_IF_ERROR(CheckClamp(clamp));
  BinaryState* state = op->MakeState<BinaryState>();
  if (state == nullptr) return OutOfMemory();
  state->clamp = clamp;
  PTQ_RETURN_IF_ERROR(MakePlan(a, b, y, &state->plan));
  if (a.dtype == kI8) return PrepareI8(features, a, b, y, op, state);
  state->f32 = SelectBinaryF32Kernel(kind, features);
  op->kernel = state->f32->name;
  op->run = RunF32;
  return PTQ_OK;
}

}  // namespace ptq
