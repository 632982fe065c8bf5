// transpose: y.dims[i] = x.dims[perm[i]]. Dimensions of size 1 are dropped and neighbours that stay
// together are merged, so that NHWC <-> NCHW is one transpose of two dimensions per picture.
#include <inttypes.h>

#include "base/math.h"
#include "kernels/move/contract.h"
#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;

struct TransposeState {
  const TransposeKernel* kernel;
  uint32_t rank;               // of the simplified transpose, at least 1
  size_t dims[kMaxRank];       // of the output
  size_t x_strides[kMaxRank];  // elements of x per step of each output dimension
  size_t y_strides[kMaxRank];
  // The output dimension along which x is contiguous: the last one where only whole rows move. With
  // it, the last dimension makes the blocks of the kernel.
  uint32_t columns_axis;
};

// Where the block number `block` of the dimensions other than columns_axis and the last lies.
void FindBlock(const TransposeState& s, size_t block, size_t* x_at, size_t* y_at) {
  *x_at = *y_at = 0;
  for (uint32_t d = s.rank - 1; d-- > 0;) {
    if (d == s.columns_axis) continue;
    *x_at += block % s.dims[d] * s.x_strides[d];
    *y_at += block % s.dims[d] * s.y_strides[d];
    block /= s.dims[d];
  }
}

void RunRows(const PreparedOp& op, const RunContext& run) {
  const TransposeState& s = op.State<TransposeState>();
  const size_t size = s.kernel->element_size, width = s.dims[s.rank - 1];
  const uint8_t* x = ReadData<uint8_t>(*op.Input(0), run);
  uint8_t* y = WriteData<uint8_t>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t row = begin; row < end; ++row) {
      size_t x_at, y_at;
      FindBlock(s, row, &x_at, &y_at);
      memcpy(y + y_at * size, x + x_at * size, width * size);
    }
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements) / width,
                        kGrainElements / width + 1, body);
}

void RunBlocks(const PreparedOp& op, const RunContext& run) {
  const TransposeState& s = op.State<TransposeState>();
  const uint32_t last = s.rank - 1, axis = s.columns_axis;
  const size_t size = s.kernel->element_size, rows = s.dims[last], columns = s.dims[axis];
  const uint8_t* x = ReadData<uint8_t>(*op.Input(0), run);
  uint8_t* y = WriteData<uint8_t>(op.Output(), run);
  // The work is shared out by columns of all blocks.
  auto body = [&](size_t begin, size_t end, size_t) {
    while (begin < end) {
      const size_t column = begin % columns, count = Min(columns - column, end - begin);
      size_t x_at, y_at;
      FindBlock(s, begin / columns, &x_at, &y_at);
      x_at += column;
      y_at += column * s.y_strides[axis];
      s.kernel->run(
          {x + x_at * size, s.x_strides[last], y + y_at * size, s.y_strides[axis], rows, count});
      begin += count;
    }
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements) / rows,
                        RoundUp(kGrainElements / rows + 1, 64), body);
}

ptq_status CheckPerm(const Tensor& x, const Tensor& y, const TransposeAttrs& attrs) {
  uint32_t seen = 0;
  for (uint32_t i = 0; i < x.rank; ++i) {
    const uint32_t axis = attrs.perm[i];
    if ((seen & 1u << axis) != 0)
      return Fail(PTQ_BAD_FILE, "perm[%" PRIu32 "]: %" PRIu32 " stands twice", i, axis);
    seen |= 1u << axis;
    PTQ_RETURN_IF_ERROR(CheckDim("output", y, i, x.dims[axis]));
  }
  return PTQ_OK;
}

void Simplify(const Tensor& x, const Tensor& y, const TransposeAttrs& attrs,
              TransposeState* state) {
  size_t strides[kMaxRank], stride = 1;
  for (uint32_t d = x.rank; d-- > 0; stride *= x.dims[d]) strides[d] = stride;
  state->rank = 0;
  for (uint32_t i = 0; i < y.rank; ++i) {
    if (y.dims[i] == 1) continue;
    const size_t x_stride = strides[attrs.perm[i]];
    const uint32_t last = state->rank - 1;
    if (state->rank > 0 && state->x_strides[last] == x_stride * y.dims[i]) {
      state->dims[last] *= y.dims[i];
      state->x_strides[last] = x_stride;
      continue;
    }
    state->dims[state->rank] = y.dims[i];
    state->x_strides[state->rank] = x_stride;
    ++state->rank;
  }
  if (state->rank == 0) {
    state->rank = 1;
    state->dims[0] = state->x_strides[0] = 1;
  }
  stride = 1;
  for (uint32_t d = state->rank; d-- > 0; stride *= state->dims[d]) {
    state->y_strides[d] = stride;
    if (state->x_strides[d] == 1) state->columns_axis = d;
  }
}

}  // namespace

ptq_status PrepareTranspose(uint32_t features, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  const TransposeAttrs attrs = op->GetAttrs<TransposeAttrs>();
  PTQ_RETURN_IF_ERROR(CheckPerm(x, y, attrs));
  TransposeState* state = op->MakeState<TransposeState>();
  if (state == nullptr) return OutOfMemory();
  Simplify(x, y, attrs, state);
  state->kernel = SelectTransposeKernel(ElementSize(x.dtype), features);
  op->kernel = state->kernel->name;
  op->run = state->columns_axis == state->rank - 1 ? RunRows : RunBlocks;
  return PTQ_OK;
}

}  // namespace ptq
