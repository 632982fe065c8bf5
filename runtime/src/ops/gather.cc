// gather: x, constant indices [K] -> y, x with dimension `axis` replaced by K.
#include <inttypes.h>

#include "kernels/copy/contract.h"
#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainBytes = 32768;
// Indices that count up make one longer copy; from here on that is faster than item by item.
constexpr size_t kLongRunBytes = 16;

// Indices from, from + 1, ... from + count - 1.
struct IndexRun {
  uint32_t from, count;
};

struct GatherState {
  const CopyKernel* copy;
  size_t outer, count, x_count;  // dimensions before the axis; indices; of x along the axis
  size_t item_bytes;             // of the dimensions after the axis
  Array<IndexRun> runs;          // empty: item by item
};

void RunItems(const PreparedOp& op, const RunContext& run) {
  const GatherState& s = op.State<GatherState>();
  const uint8_t* x = ReadData<uint8_t>(*op.Input(0), run);
  const uint32_t* indices = ReadData<uint32_t>(*op.Input(1), run);
  uint8_t* y = WriteData<uint8_t>(op.Output(), run);
  if (s.outer == 1) {
    auto body = [&](size_t begin, size_t end, size_t) {
      s.copy->indexed({x, indices + begin, y + begin * s.item_bytes, s.item_bytes, end - begin});
    };
    run.pool->ParallelFor(s.count, kGrainBytes / s.item_bytes + 1, body);
    return;
  }
  const size_t x_bytes = s.x_count * s.item_bytes, y_bytes = s.count * s.item_bytes;
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t o = begin; o < end; ++o)
      s.copy->indexed({x + o * x_bytes, indices, y + o * y_bytes, s.item_bytes, s.count});
  };
  run.pool->ParallelFor(s.outer, kGrainBytes / y_bytes + 1, body);
}

void RunRuns(const PreparedOp& op, const RunContext& run) {
  const GatherState& s = op.State<GatherState>();
  const uint8_t* x = ReadData<uint8_t>(*op.Input(0), run);
  uint8_t* y = WriteData<uint8_t>(op.Output(), run);
  const size_t x_bytes = s.x_count * s.item_bytes, y_bytes = s.count * s.item_bytes;
  auto body = [&](size_t begin, size_t end, size_t) {
    size_t at = 0;
    for (const IndexRun& indices : s.runs) {
      const size_t bytes = indices.count * s.item_bytes;
      s.copy->rows({x + begin * x_bytes + indices.from * s.item_bytes,
                    static_cast<ptrdiff_t>(x_bytes), y + begin * y_bytes + at,
                    static_cast<ptrdiff_t>(y_bytes), bytes, end - begin});
      at += bytes;
    }
  };
  run.pool->ParallelFor(s.outer, kGrainBytes / y_bytes + 1, body);
}

// One channel in `step`, as in a slice.
void RunSteps(const PreparedOp& op, const RunContext& run) {
  const GatherState& s = op.State<GatherState>();
  const uint8_t* x = ReadData<uint8_t>(*op.Input(0), run);
  const int32_t* indices = ReadData<int32_t>(*op.Input(1), run);
  uint8_t* y = WriteData<uint8_t>(op.Output(), run);
  const size_t x_row = s.x_count * s.item_bytes, y_row = s.count * s.item_bytes;
  auto body = [&](size_t begin, size_t end, size_t) {
    s.copy->strided({x + begin * x_row + static_cast<size_t>(indices[0]) * s.item_bytes,
                     static_cast<ptrdiff_t>(s.x_count), indices[1] - indices[0], y + begin * y_row,
                     s.item_bytes, s.count, end - begin});
  };
  run.pool->ParallelFor(s.outer, kGrainBytes / y_row + 1, body);
}

// Two runs of channels in turns: the channel shuffle of two groups.
void RunInterleaved(const PreparedOp& op, const RunContext& run) {
  const GatherState& s = op.State<GatherState>();
  const uint8_t* x = ReadData<uint8_t>(*op.Input(0), run);
  const uint32_t* indices = ReadData<uint32_t>(*op.Input(1), run);
  uint8_t* y = WriteData<uint8_t>(op.Output(), run);
  const size_t x_row = s.x_count * s.item_bytes, y_row = s.count * s.item_bytes;
  auto body = [&](size_t begin, size_t end, size_t) {
    s.copy->interleaved({x + begin * x_row,
                         s.x_count,
                         {indices[0], indices[1]},
                         y + begin * y_row,
                         s.item_bytes,
                         s.count / 2,
                         end - begin});
  };
  run.pool->ParallelFor(s.outer, kGrainBytes / y_row + 1, body);
}

ptq_status CheckIndices(const Tensor& x, const Tensor& indices, uint32_t axis) {
  const int32_t* values = static_cast<const int32_t*>(indices.data);
  for (uint32_t k = 0; k < indices.dims[0]; ++k) {
    if (values[k] >= 0 && static_cast<uint32_t>(values[k]) < x.dims[axis]) continue;
    return Fail(PTQ_BAD_FILE, "indices '%.60s' [%" PRIu32 "]: %" PRId32 " is not in 0 ... %" PRIu32,
                indices.name, k, values[k], x.dims[axis] - 1);
  }
  return PTQ_OK;
}

ptq_status FindRuns(const uint32_t* indices, size_t count, GatherState* state) {
  size_t runs = 1;
  for (size_t k = 1; k < count; ++k) runs += indices[k] != indices[k - 1] + 1 ? 1 : 0;
  if (runs == count || count * state->item_bytes / runs < kLongRunBytes) return PTQ_OK;
  PTQ_RETURN_IF_ERROR(state->runs.Allocate(runs));
  size_t run = 0;
  state->runs[0] = {indices[0], 1};
  for (size_t k = 1; k < count; ++k) {
    if (indices[k] == indices[k - 1] + 1) {
      ++state->runs[run].count;
    } else {
      state->runs[++run] = {indices[k], 1};
    }
  }
  return PTQ_OK;
}

bool HaveOneStep(const int32_t* indices, size_t count) {
  for (size_t k = 2; k < count; ++k) {
    if (indices[k] - indices[k - 1] != indices[1] - indices[0]) return false;
  }
  return count > 1;
}

bool AreInterleaved(const int32_t* indices, size_t count) {
  for (size_t k = 2; k < count; ++k) {
    if (indices[k] - indices[k - 2] != 1) return false;
  }
  return count > 2 && count % 2 == 0;
}

// The fastest way for these indices.
ptq_status ChooseRun(const Tensor& x, const Tensor& indices, GatherState* state, PreparedOp* op) {
  op->run = RunItems;
  if (state->outer == 1) return PTQ_OK;
  const int32_t* values = static_cast<const int32_t*>(indices.data);
  const bool channels = state->item_bytes == ElementSize(x.dtype);
  PTQ_RETURN_IF_ERROR(FindRuns(static_cast<const uint32_t*>(indices.data), state->count, state));
  if (state->runs.size() > 0) {
    op->run = RunRuns;
  } else if (channels && HaveOneStep(values, state->count)) {
    op->run = RunSteps;
  } else if (channels && AreInterleaved(values, state->count)) {
    op->run = RunInterleaved;
  }
  return PTQ_OK;
}

}  // namespace

ptq_status PrepareGather(uint32_t features, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &indices = *op->Input(1), &y = op->Output();
  const uint32_t axis = op->GetAttrs<GatherAttrs>().axis;
  PTQ_RETURN_IF_ERROR(CheckIndices(x, indices, axis));
  for (uint32_t d = 0; d < x.rank; ++d)
    PTQ_RETURN_IF_ERROR(CheckDim("output", y, d, d == axis ? indices.dims[0] : x.dims[d]));
  GatherState* state = op->MakeState<GatherState>();
  if (state == nullptr) return OutOfMemory();
  size_t inner;
  SplitAtAxis(x, axis, &state->outer, &state->x_count, &inner);
  state->count = indices.dims[0];
  state->item_bytes = inner * ElementSize(x.dtype);
  state->copy = SelectKernel(kCopyKernels, features);
  op->kernel = state->copy->name;
  return ChooseRun(x, indices, state, op);
}

}  // namespace ptq
