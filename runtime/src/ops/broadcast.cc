// The plan of a broadcast.
#include "ops/broadcast.h"

#include <inttypes.h>

#include "ops/checks.h"

namespace ptq {
namespace {

// Dimension `axis` of `tensor` counted in a shape of `rank`; missing leading dimensions are 1.
uint32_t AlignedDim(const Tensor& tensor, uint32_t axis, uint32_t rank) {
  const uint32_t missing = rank - tensor.rank;
  return axis < missing ? 1 : tensor.dims[axis - missing];
}

}  // namespace

ptq_status MakeBroadcastPlan(const Tensor& a, const Tensor& b, const Tensor& y,
                             BroadcastPlan* plan) {
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

}  // namespace ptq
