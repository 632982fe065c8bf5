// reduce: mean, sum, max, min, prod or l2 over any set of dimensions, which become 1.
#include <inttypes.h>
#include <math.h>

#include "base/math.h"
#include "kernels/reduce/contract.h"
#include "numerics/requantize.h"
#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;
constexpr size_t kColumns = 128;  // of one item of work

// Dimensions walked by an odometer; strides in elements of x.
struct Walk {
  uint32_t rank;
  size_t dims[kMaxRank], strides[kMaxRank], count;

  void Add(size_t dim, size_t stride) {
    dims[rank] = dim;
    strides[rank++] = stride;
    count *= dim;
  }
  size_t Offset(size_t index) const {
    size_t offset = 0;
    for (uint32_t d = rank; d-- > 0; index /= dims[d]) offset += index % dims[d] * strides[d];
    return offset;
  }
};

// Neighbouring dimensions that are both reduced or both kept are one. Where the innermost is kept
// it makes the columns of the kernel, which then stay apart; else a kernel reduces it as a row.
// What is left is walked.
struct ReduceState {
  const ReduceF32Kernel* f32;
  const ReduceI8Kernel* i8;
  Reduction reduction;
  size_t columns;  // 0: rows
  size_t rows, row_stride;
  Walk kept, reduced;
  ReduceAttrs attrs;
  float count;             // elements per result
  int32_t zero_point_sum;  // i8 mean: zero_point_in * count
  float multiplier;        // i8 mean: s_in / (s_out * count)
  OutputRange range;
};

// Where partial results of kernels are gathered. Those of floats are double, and a kernel adds up a
// block only, so that the error does not grow with the number of elements (docs/numerics.md).
template <typename T>
struct Totals;
template <>
struct Totals<float> {
  using Partial = float;
  using Total = double;
  static constexpr size_t kInRow = kRowBlock, kInColumn = kSumBlock;
};
template <>
struct Totals<int8_t> {
  using Partial = int32_t;
  using Total = int32_t;
  static constexpr size_t kInRow = SIZE_MAX / 2, kInColumn = SIZE_MAX / 2;
};

template <typename Total>
Total Join(Reduction reduction, Total a, Total b) {
  switch (reduction) {
    case Reduction::kMax:
      return b > a ? b : a;
    case Reduction::kMin:
      return b < a ? b : a;
    case Reduction::kProduct:
      return a * b;
    default:
      return a + b;
  }
}

// Calls finish(y index, total) for each element of the output.
template <typename T, typename Kernel, typename Finish>
void RunWith(const PreparedOp& op, const RunContext& run, const Kernel& kernel,
             typename Totals<T>::Partial start, Finish finish) {
  using Partial = typename Totals<T>::Partial;
  using Total = typename Totals<T>::Total;
  const ReduceState& s = op.State<ReduceState>();
  const T* x = ReadData<T>(*op.Input(0), run);
  const size_t blocks = s.columns == 0 ? 1 : CeilDiv(s.columns, kColumns);
  const size_t depth = s.rows * s.reduced.count;
  const auto reduce_row = [&](const T* from) {
    Total total = start;
    for (size_t i = 0; i < s.reduced.count; ++i) {
      const T* row = from + s.reduced.Offset(i);
      for (size_t at = 0; at < s.rows; at += Totals<T>::kInRow) {
        const size_t count = Min(Totals<T>::kInRow, s.rows - at);
        total = Join<Total>(s.reduction, total, kernel.row(s.reduction, row + at, count, start));
      }
    }
    return total;
  };
  const auto reduce_columns = [&](const T* from, size_t count, Total* totals) {
    Partial sums[kColumns];
    size_t pending = 0;  // rows in `sums`
    const auto settle = [&] {
      for (size_t c = 0; c < count; ++c) {
        totals[c] = Join<Total>(s.reduction, totals[c], sums[c]);
        sums[c] = start;
      }
      pending = 0;
    };
    for (size_t c = 0; c < count; ++c) totals[c] = sums[c] = start;
    for (size_t i = 0; i < s.reduced.count; ++i) {
      const T* rows = from + s.reduced.Offset(i);
      for (size_t at = 0, some; at < s.rows; at += some, pending += some) {
        if (pending == Totals<T>::kInColumn) settle();
        some = Min(Totals<T>::kInColumn - pending, s.rows - at);
        kernel.columns({s.reduction, rows + at * s.row_stride, s.row_stride, some, count, sums});
      }
    }
    settle();
  };
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t item = begin; item < end; ++item) {
      const T* from = x + s.kept.Offset(item / blocks);
      if (s.columns == 0) {
        finish(item, reduce_row(from));
        continue;
      }
      Total totals[kColumns];
      const size_t column = item % blocks * kColumns, count = Min(kColumns, s.columns - column);
      reduce_columns(from + column, count, totals);
      for (size_t c = 0; c < count; ++c) finish(item / blocks * s.columns + column + c, totals[c]);
    }
  };
  const size_t width = s.columns == 0 ? 1 : Min(s.columns, kColumns);
  run.pool->ParallelFor(s.kept.count * blocks, kGrainElements / (depth * width) + 1, body);
}

void RunF32(const PreparedOp& op, const RunContext& run) {
  const ReduceState& s = op.State<ReduceState>();
  float* y = WriteData<float>(op.Output(), run);
  const float start = s.reduction == Reduction::kMax       ? -INFINITY
                      : s.reduction == Reduction::kMin     ? INFINITY
                      : s.reduction == Reduction::kProduct ? 1.0f
                                                           : 0.0f;
  RunWith<float>(op, run, *s.f32, start, [&](size_t i, double total) {
    if (s.attrs.function == kReduceMean) total /= static_cast<double>(s.count);
    if (s.attrs.function == kReduceL2) total = sqrt(total);
    y[i] = Clamp(static_cast<float>(total), s.attrs.clamp.lo, s.attrs.clamp.hi);
  });
}

void RunI8(const PreparedOp& op, const RunContext& run) {
  const ReduceState& s = op.State<ReduceState>();
  int8_t* y = WriteData<int8_t>(op.Output(), run);
  if (s.attrs.function == kReduceMean) {
    RunWith<int8_t>(op, run, *s.i8, 0, [&](size_t i, int32_t sum) {
      y[i] = Requantize(sum - s.zero_point_sum, s.multiplier, s.range);
    });
    return;
  }
  const int32_t start = s.reduction == Reduction::kMax ? -128 : 127;
  RunWith<int8_t>(op, run, *s.i8, start, [&](size_t i, int32_t value) {
    y[i] = static_cast<int8_t>(Clamp(value, s.attrs.clamp.q_min, s.attrs.clamp.q_max));
  });
}

ptq_status CheckReduce(const Tensor& x, const Tensor& y, const ReduceAttrs& attrs) {
  const bool selects = attrs.function == kReduceMax || attrs.function == kReduceMin;
  if (x.dtype == kI8 && !selects && attrs.function != kReduceMean) {
    return Fail(PTQ_BAD_FILE, "function: %" PRIu32 " has no i8 form (mean, max and min have)",
                attrs.function);
  }
  if (attrs.axes >> x.rank != 0) {
    return Fail(PTQ_BAD_FILE, "axes: 0x%" PRIx32 " names a dimension beyond the rank %" PRIu32,
                attrs.axes, x.rank);
  }
  for (uint32_t d = 0; d < x.rank; ++d)
    PTQ_RETURN_IF_ERROR(CheckDim("output", y, d, attrs.axes >> d & 1 ? 1 : x.dims[d]));
  if (selects) return CheckSameQparams(x, y);
  const uint64_t count = x.elements / y.elements;
  if (x.dtype == kI8 && count > kMaxWindow) {
    return Fail(PTQ_UNSUPPORTED, "axes: a mean of %" PRIu64 " int8, more than %" PRIu64, count,
                kMaxWindow);
  }
  return PTQ_OK;
}

// Fills columns, rows and the walks.
void Simplify(const Tensor& x, uint32_t axes, ReduceState* state) {
  struct Group {
    size_t dim, stride;
    bool reduced;
  } groups[kMaxRank];
  uint32_t count = 0;
  size_t stride = 1;
  for (uint32_t d = x.rank; d-- > 0; stride *= x.dims[d]) {  // innermost first
    const bool reduced = (axes >> d & 1) != 0;
    if (x.dims[d] == 1) continue;
    if (count > 0 && groups[count - 1].reduced == reduced) {
      groups[count - 1].dim *= x.dims[d];
    } else {
      groups[count++] = {x.dims[d], stride, reduced};
    }
  }
  uint32_t used = 0;
  state->columns = 0;
  if (used < count && !groups[used].reduced) state->columns = groups[used++].dim;
  state->rows = 1;
  state->row_stride = 0;
  if (used < count) {
    state->rows = groups[used].dim;
    state->row_stride = groups[used++].stride;
  }
  state->kept.count = state->reduced.count = 1;
  for (uint32_t g = count; g-- > used;)
    (groups[g].reduced ? state->reduced : state->kept).Add(groups[g].dim, groups[g].stride);
}

Reduction ReductionOf(uint32_t function) {
  switch (function) {
    case kReduceMax:
      return Reduction::kMax;
    case kReduceMin:
      return Reduction::kMin;
    case kReduceProd:
      return Reduction::kProduct;
    case kReduceL2:
      return Reduction::kSumOfSquares;
    default:
      return Reduction::kSum;
  }
}

}  // namespace

ptq_status PrepareReduce(uint32_t features, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  const ReduceAttrs attrs = op->GetAttrs<ReduceAttrs>();
  PTQ_RETURN_IF_ERROR(CheckReduce(x, y, attrs));
  ReduceState* state = op->MakeState<ReduceState>();
  if (state == nullptr) return OutOfMemory();
  state->attrs = attrs;
  state->reduction = ReductionOf(attrs.function);
  Simplify(x, attrs.axes, state);
  const uint64_t count = x.elements / y.elements;
  state->count = static_cast<float>(count);
  if (x.dtype == kF32) {
    state->f32 = SelectKernel(kReduceF32Kernels, features);
    op->kernel = state->f32->name;
    op->run = RunF32;
    return PTQ_OK;
  }
  state->i8 = SelectKernel(kReduceI8Kernels, features);
  op->kernel = state->i8->name;
  op->run = RunI8;
  if (attrs.function != kReduceMean) return PTQ_OK;
  state->zero_point_sum = x.zero_point * static_cast<int32_t>(count);
  state->multiplier = x.scales[0] / (y.scales[0] * state->count);
  state->range = MakeOutputRange(y.zero_point, attrs.clamp.q_min, attrs.clamp.q_max);
  return CheckMultiplier("requantization", state->multiplier);
}

}  // namespace ptq
