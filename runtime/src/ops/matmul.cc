// matmul: a [..., M, K], b [..., K, N] -> y [..., M, N], with numpy broadcasting of the dimensions
// before; both are computed.
#include <inttypes.h>

#include "numerics/shifted_sum.h"
#include "ops/checks.h"
#include "ops/long_sums.h"
#include "ops/matmul_state.h"
#include "ops/panels.h"
#include "ops/registry.h"

namespace ptq {
namespace {

// Checks all shapes.
ptq_status PrepareShapes(const Tensor& a, const Tensor& b, const Tensor& y, MatmulState* state) {
  if (a.rank < 2 || b.rank < 2) {
    return Fail(PTQ_BAD_FILE, "inputs: ranks %" PRIu32 " and %" PRIu32 " instead of at least 2",
                a.rank, b.rank);
  }
  const uint32_t depth_axis = state->transpose_b ? b.rank - 1 : b.rank - 2,
                 column_axis = state->transpose_b ? b.rank - 2 : b.rank - 1;
  PTQ_RETURN_IF_ERROR(CheckDim("b", b, depth_axis, a.dims[a.rank - 1]));
  PTQ_RETURN_IF_ERROR(CheckRank("output", y, Max(a.rank, b.rank)));
  Tensor a_batch = a, b_batch = b, y_batch = y;
  a_batch.rank -= 2;
  b_batch.rank -= 2;
  y_batch.rank -= 2;
  BroadcastPlan* plan = &state->batches;
  PTQ_RETURN_IF_ERROR(MakeBroadcastPlan(a_batch, b_batch, y_batch, plan));
  PTQ_RETURN_IF_ERROR(CheckDim("output", y, y.rank - 2, a.dims[a.rank - 2]));
  PTQ_RETURN_IF_ERROR(CheckDim("output", y, y.rank - 1, b.dims[column_axis]));
  state->m = a.dims[a.rank - 2];
  state->k = a.dims[a.rank - 1];
  state->n = b.dims[column_axis];
  // Matrices of a that lie one after another and meet the same b are one of more rows.
  const uint32_t last = plan->rank - 1;
  if (plan->b_strides[last] == 0) {
    const size_t merged = plan->dims[last];
    state->m *= merged;
    plan->dims[last] = 1;
    for (uint32_t axis = 0; axis < last; ++axis) plan->a_strides[axis] /= merged;
  }
  state->count = 1;
  for (uint32_t axis = 0; axis <= last; ++axis) state->count *= plan->dims[axis];
  return PTQ_OK;
}

// What all types have in common, for a chosen kernel that is given `depth` products at a time;
// `least_columns` of a panel.
template <typename Kernel>
void TakeKernel(const Kernel& kernel, size_t element_size, size_t depth, size_t least_columns,
                PreparedOp* op) {
  MatmulState* state = op->MutableState<MatmulState>();
  state->mr = kernel.mr;
  state->nr = kernel.nr;
  state->group_rows = kernel.group_rows;
  state->depth = depth;
  state->packed_depth = PackedGemmProducts(1, depth, kernel.kd);
  state->panel_blocks = PanelBlocks(uint64_t{state->packed_depth} * state->nr * element_size,
                                    state->nr, least_columns, CeilDiv(state->n, state->nr));
  op->kernel = kernel.name;
}

// T: float or Half.
template <typename T>
ptq_status PrepareReal(uint32_t features, const GemmRealKernel<T>& kernel, PreparedOp* op,
                       LongSums<T>* sums) {
  MatmulState* state = op->MutableState<MatmulState>();
  TakeKernel(kernel, sizeof(T), ProductsAtATime(state->k),
             kernel.packs_rows ? kPackedRowColumns : 1, op);
  op->TakeWorkspace(uint64_t{sizeof(void*)} * state->mr);
  state->packed_offset =
      op->TakeWorkspace(uint64_t{sizeof(T)} * state->PanelColumns() * state->depth);
  state->scratch_offset =
      op->TakeWorkspace(uint64_t{sizeof(T)} * kernel.ScratchElements(state->depth));
  op->run = RunMatmulReal;
  const GemmBlocks cut = {state->mr, state->nr, CeilDiv(state->n, state->nr), state->panel_blocks,
                          state->k};
  return PrepareLongSums(features, cut, op, sums);
}

ptq_status PrepareQparams(const Tensor& a, const Tensor& b, const Tensor& y,
                          const ClampAttrs& clamp, MatmulState* state) {
  const auto most = [](const Tensor& x) {
    return uint64_t{128} + static_cast<uint64_t>(x.zero_point < 0 ? -x.zero_point : x.zero_point);
  };
  const uint64_t worst = most(a) * most(b) * state->k;  // k is less than 2^31
  if (worst > INT32_MAX) {
    return Fail(PTQ_BAD_FILE, "sums: %zu products up to %" PRIu64 " can overflow int32", state->k,
                worst);
  }
  // Two roundings, in this order (docs/numerics.md).
  state->multiplier = a.scales[0] * b.scales[0];
  if (y.dtype == kI8) state->multiplier = state->multiplier / y.scales[0];
  PTQ_RETURN_IF_ERROR(CheckMultiplier("requantization", state->multiplier));
  state->a_zero_point = a.zero_point;
  state->b_zero_point = b.zero_point;
  state->range = MakeOutputRange(y.zero_point, clamp.q_min, clamp.q_max);
  // Parts of a sum are multiplied by 1 (matmul_i8.cc).
  state->small_results = state->multiplier < 1.0f && b.zero_point == 0;
  const int64_t sum = static_cast<int64_t>(most(a) * 128 * state->k);
  state->shifted_sums = state->i8->shifted_sums && y.dtype == kI8 && b.zero_point == 0 &&
                        FitsShiftedSum(-sum, sum, state->multiplier, y.zero_point);
  return PTQ_OK;
}

ptq_status PrepareI8(uint32_t features, const ClampAttrs& clamp, PreparedOp* op) {
  MatmulState* state = op->MutableState<MatmulState>();
  state->i8 = SelectKernel(kGemmI8Kernels, features);
  const Tensor &a = *op->Input(0), &b = *op->Input(1), &y = op->Output();
  PTQ_RETURN_IF_ERROR(PrepareQparams(a, b, y, clamp, state));
  TakeKernel(*state->i8, 1, state->k, 1, op);
  const uint64_t columns = state->PanelColumns(), taps = state->i8->pairs_in_int16 ? 2 : 1;
  const bool in_parts = b.zero_point != 0;
  const uint64_t parts = in_parts ? CeilDiv(state->k, kExactDepth) : 1,
                 tile = in_parts ? sizeof(float) * state->mr * columns : 0;
  op->TakeWorkspace(sizeof(void*) * taps * state->mr);
  state->packed_offset = op->TakeWorkspace(taps * columns * state->packed_depth);
  state->bias_offset = op->TakeWorkspace(sizeof(int32_t) * columns * parts);
  state->part_offset = op->TakeWorkspace(tile);
  state->sums_offset = op->TakeWorkspace(tile);
  PTQ_RETURN_IF_ERROR(state->multipliers.Allocate(static_cast<size_t>(columns)));
  for (float& multiplier : state->multipliers) multiplier = in_parts ? 1.0f : state->multiplier;
  op->run = RunMatmulI8;
  return PTQ_OK;
}

}  // namespace

ptq_status PrepareMatmul(uint32_t features, PreparedOp* op) {
  const Tensor &a = *op->Input(0), &b = *op->Input(1), &y = op->Output();
  const MatmulAttrs attrs = op->GetAttrs<MatmulAttrs>();
  MatmulState* state = op->MakeState<MatmulState>();
  if (state == nullptr) return OutOfMemory();
  state->transpose_b = attrs.transpose_b != 0;
  state->lo = attrs.clamp.lo;
  state->hi = attrs.clamp.hi;
  PTQ_RETURN_IF_ERROR(PrepareShapes(a, b, y, state));
  op->macs = y.elements * state->k;
  op->steps = Steps{y.elements + y.elements / y.dims[y.rank - 2]} * state->k;
  if (a.storage == kConstant) {
    PTQ_RETURN_IF_ERROR(state->a_copy.Allocate(static_cast<size_t>(a.size)));
    memcpy(state->a_copy.data(), a.data, static_cast<size_t>(a.size));
  }
  switch (a.dtype) {
    case kF32:
      state->f32 = SelectKernel(kGemmF32Kernels, features);
      return PrepareReal(features, *state->f32, op, &state->f32_sums);
    case kF16:
      state->f16 = SelectKernel(kGemmF16Kernels, features);
      if (state->f16 == nullptr) return NoKernel(a.dtype);
      return PrepareReal(features, *state->f16, op, &state->f16_sums);
    default:
      return PrepareI8(features, attrs.clamp, op);
  }
}

}  // namespace ptq
