// arg_max: x f32, i8 or integers -> y i32, the index of the largest element along one axis.
// Plain loops that compilers vectorise, the same for all types.

#include "base/math.h"
#include "ops/checks.h"
#include "ops/ordered.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;
constexpr size_t kColumns = 64;  // of one item of work
constexpr size_t kBlock = 16;
constexpr size_t kLongRow = 100;

struct ArgMaxState {
  size_t outer, count, inner;  // the product of the dimensions before, of, and after the axis
  bool select_last;
};

// y[c] = the first (or last) i with the maximum of x[i * stride + c], for `columns` up to kBlock,
// which is a constant at the call for full blocks.
template <typename T>
PTQ_INLINE void ArgMaxOfBlock(const T* x, size_t stride, size_t count, size_t columns,
                              bool select_last, int32_t* y) {
  T best[kBlock];
  int32_t index[kBlock];
  for (size_t c = 0; c < columns; ++c) {
    best[c] = x[c];
    index[c] = 0;
  }
  for (size_t i = 1; i < count; ++i) {
    x += stride;
    const int32_t here = static_cast<int32_t>(i);
    for (size_t c = 0; c < columns; ++c) {
      const bool better = select_last ? x[c] >= best[c] : x[c] > best[c];
      best[c] = better ? x[c] : best[c];
      index[c] = better ? here : index[c];
    }
  }
  for (size_t c = 0; c < columns; ++c) y[c] = index[c];
}

// A long row: the maximum first, in a loop without branches, then the place where it stands.
template <typename T>
int32_t ArgMaxOfLongRow(const T* x, size_t count, bool select_last) {
  T lanes[kBlock];
  for (size_t j = 0; j < kBlock; ++j) lanes[j] = x[0];
  size_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    for (size_t j = 0; j < kBlock; ++j) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  }
  T best = x[0];
  for (size_t j = 0; j < kBlock; ++j) best = Max(best, lanes[j]);
  for (; i < count; ++i) best = Max(best, x[i]);
  size_t at = select_last ? count - 1 : 0;
  if (select_last) {
    while (at > 0 && x[at] != best) --at;
  } else {
    while (at + 1 < count && x[at] != best) ++at;
  }
  return static_cast<int32_t>(at);
}

// kTogether short rows side by side: each waits for its own comparisons only.
template <size_t kTogether, typename T>
void ArgMaxOfShortRows(const T* x, size_t count, bool select_last, int32_t* y) {
  T best[kTogether];
  int32_t index[kTogether] = {};
  for (size_t r = 0; r < kTogether; ++r) best[r] = x[r * count];
  for (size_t i = 1; i < count; ++i) {
    for (size_t r = 0; r < kTogether; ++r) {
      const T value = x[r * count + i];
      const bool better = select_last ? value >= best[r] : value > best[r];
      best[r] = better ? value : best[r];
      index[r] = better ? static_cast<int32_t>(i) : index[r];
    }
  }
  for (size_t r = 0; r < kTogether; ++r) y[r] = index[r];
}

template <typename T>
void ArgMaxOfRows(const T* x, size_t count, size_t rows, bool select_last, int32_t* y) {
  size_t row = 0;
  if (count < kLongRow) {
    for (; row + 4 <= rows; row += 4)
      ArgMaxOfShortRows<4>(x + row * count, count, select_last, y + row);
    for (; row < rows; ++row) ArgMaxOfShortRows<1>(x + row * count, count, select_last, y + row);
  }
  for (; row < rows; ++row) y[row] = ArgMaxOfLongRow(x + row * count, count, select_last);
}

template <typename T>
void RunArgMax(const PreparedOp& op, const RunContext& run) {
  const ArgMaxState& s = op.State<ArgMaxState>();
  const T* x = ReadData<T>(*op.Input(0), run);
  int32_t* y = WriteData<int32_t>(op.Output(), run);
  if (s.inner == 1) {
    auto body = [&](size_t begin, size_t end, size_t) {
      ArgMaxOfRows(x + begin * s.count, s.count, end - begin, s.select_last, y + begin);
    };
    run.pool->ParallelFor(s.outer, kGrainElements / s.count + 1, body);
    return;
  }
  const size_t blocks = CeilDiv(s.inner, kColumns);
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t item = begin; item < end; ++item) {
      const size_t outer = item / blocks, end_column = Min(s.inner, (item % blocks + 1) * kColumns);
      const T* plane = x + outer * s.count * s.inner;
      for (size_t c = item % blocks * kColumns; c < end_column; c += kBlock) {
        int32_t* to = y + outer * s.inner + c;
        if (c + kBlock <= end_column)
          ArgMaxOfBlock(plane + c, s.inner, s.count, kBlock, s.select_last, to);
        else
          ArgMaxOfBlock(plane + c, s.inner, s.count, end_column - c, s.select_last, to);
      }
    }
  };
  run.pool->ParallelFor(s.outer * blocks, kGrainElements / (s.count * kColumns) + 1, body);
}

}  // namespace

ptq_status PrepareArgMax(uint32_t, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  const ArgMaxAttrs attrs = op->GetAttrs<ArgMaxAttrs>();
  for (uint32_t d = 0; d < x.rank; ++d)
    PTQ_RETURN_IF_ERROR(CheckDim("output", y, d, d == attrs.axis ? 1 : x.dims[d]));
  ArgMaxState* state = op->MakeState<ArgMaxState>();
  if (state == nullptr) return OutOfMemory();
  SplitAtAxis(x, attrs.axis, &state->outer, &state->count, &state->inner);
  state->select_last = attrs.select_last != 0;
  op->kernel = "arg_max_plain__scalar";
  op->run = ForOrdered(x.dtype, [](auto value) { return RunArgMax<decltype(value)>; });
  return PTQ_OK;
}

}  // namespace ptq
