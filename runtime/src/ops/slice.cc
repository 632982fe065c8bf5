// slice: y[i] = x[start + i * step] in each dimension; steps may be negative.
#include <inttypes.h>

#include "base/math.h"
#include "kernels/copy/contract.h"
#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;

// The output's dimensions without those of size 1, and neighbours that x also holds side by side
// merged: a slice of channels is two dimensions, whatever the rank.
struct SliceState {
  const CopyKernel* copy;
  size_t element_size;
  uint32_t rank;  // at least 1
  size_t dims[kMaxRank];
  ptrdiff_t strides[kMaxRank];  // elements of x
  size_t origin;                // element of x that is y[0]
};

// `count` rows of dims[rank - 1] elements each, whose beginnings lie `pitch` elements apart in x.
void CopyRows(const SliceState& s, const uint8_t* x, ptrdiff_t pitch, uint8_t* y, size_t count) {
  const size_t width = s.dims[s.rank - 1], row_bytes = width * s.element_size;
  const ptrdiff_t step = s.strides[s.rank - 1];
  if (step == 1) {
    s.copy->rows({x, pitch * static_cast<ptrdiff_t>(s.element_size), y,
                  static_cast<ptrdiff_t>(row_bytes), row_bytes, count});
  } else {
    s.copy->strided({x, pitch, step, y, s.element_size, width, count});
  }
}

void RunSlice(const PreparedOp& op, const RunContext& run) {
  const SliceState& s = op.State<SliceState>();
  const size_t size = s.element_size, width = s.dims[s.rank - 1];
  const size_t lines = s.rank > 1 ? s.dims[s.rank - 2] : 1;
  const ptrdiff_t pitch = s.rank > 1 ? s.strides[s.rank - 2] : 0;
  const uint8_t* x = ReadData<uint8_t>(*op.Input(0), run) + s.origin * size;
  uint8_t* y = WriteData<uint8_t>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    while (begin < end) {
      const size_t line = begin % lines, count = Min(lines - line, end - begin);
      ptrdiff_t from = static_cast<ptrdiff_t>(line) * pitch;
      size_t index = begin / lines;
      for (uint32_t d = s.rank > 1 ? s.rank - 2 : 0; d-- > 0; index /= s.dims[d])
        from += static_cast<ptrdiff_t>(index % s.dims[d]) * s.strides[d];
      CopyRows(s, x + from * static_cast<ptrdiff_t>(size), pitch, y + begin * width * size, count);
      begin += count;
    }
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements) / width,
                        kGrainElements / width + 1, body);
}

ptq_status CheckSlice(const Tensor& x, const Tensor& y, const SliceAttrs& attrs) {
  for (uint32_t d = 0; d < x.rank; ++d) {
    const int64_t start = attrs.start[d], step = attrs.step[d];
    if (step == 0) return Fail(PTQ_BAD_FILE, "step[%" PRIu32 "]: 0", d);
    const int64_t last = start + (static_cast<int64_t>(y.dims[d]) - 1) * step;
    if (start >= 0 && start < x.dims[d] && last >= 0 && last < x.dims[d]) continue;
    return Fail(PTQ_BAD_FILE,
                "start[%" PRIu32 "], step[%" PRIu32 "]: %" PRId64 ", %" PRId64 " reads %" PRId64
                " ... %" PRId64 " of %" PRIu32 " elements of '%.60s'",
                d, d, start, step, start, last, x.dims[d], x.name);
  }
  return PTQ_OK;
}

void Simplify(const Tensor& x, const Tensor& y, const SliceAttrs& attrs, SliceState* state) {
  state->rank = 0;
  state->origin = 0;
  size_t x_strides[kMaxRank], x_stride = 1;
  for (uint32_t d = x.rank; d-- > 0; x_stride *= x.dims[d]) x_strides[d] = x_stride;
  for (uint32_t d = 0; d < x.rank; ++d) {
    state->origin += static_cast<size_t>(attrs.start[d]) * x_strides[d];
    const size_t dim = y.dims[d];
    if (dim == 1) continue;
    const ptrdiff_t stride = static_cast<ptrdiff_t>(x_strides[d]) * attrs.step[d];
    const uint32_t outer = state->rank - 1;
    if (state->rank > 0 && state->strides[outer] == stride * static_cast<ptrdiff_t>(dim)) {
      state->dims[outer] *= dim;
      state->strides[outer] = stride;
    } else {
      state->dims[state->rank] = dim;
      state->strides[state->rank++] = stride;
    }
  }
  if (state->rank == 0) {
    state->dims[0] = 1;
    state->strides[0] = 1;
    state->rank = 1;
  }
}

}  // namespace

ptq_status PrepareSlice(uint32_t features, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  const SliceAttrs attrs = op->GetAttrs<SliceAttrs>();
  PTQ_RETURN_IF_ERROR(CheckSlice(x, y, attrs));
  SliceState* state = op->MakeState<SliceState>();
  if (state == nullptr) return OutOfMemory();
  Simplify(x, y, attrs, state);
  state->copy = SelectKernel(kCopyKernels, features);
  state->element_size = ElementSize(x.dtype);
  op->kernel = state->copy->name;
  op->run = RunSlice;
  return PTQ_OK;
}

}  // namespace ptq
