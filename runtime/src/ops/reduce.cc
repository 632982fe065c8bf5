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
constexpr size_t kColumns = 128;                 // of one item of work
constexpr uint64_t kMaxMeanElements = 1u << 22;  // keeps an int32 sum exact

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

// Calls start(sums, n), kernel and finish(y index, sums, n) for pieces of the output.
template <typename T, typename Sum, typename Kernel, typename Finish>
void RunWith(const PreparedOp& op, const RunContext& run, const Kernel& kernel, Sum start,
             Finish finish) {
  const ReduceState& s = op.State<ReduceState>();
  const T* x = ReadData<T>(*op.Input(0), run);
  const size_t blocks = s.columns == 0 ? 1 : CeilDiv(s.columns, kColumns);
  const size_t depth = s.rows * s.reduced.count;
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t item = begin; item < end; ++item) {
      const T* from = x + s.kept.Offset(item / blocks);
      if (s.columns == 0) {
        Sum sum = start;
        for (size_t i = 0; i < s.reduced.count; ++i)
          sum = kernel.row(s.reduction, from + s.reduced.Offset(i), s.rows, sum);
        finish(item, sum);
        continue;
      }
      Sum sums[kColumns];
      const size_t column = item % blocks * kColumns, count = Min(kColumns, s.columns - column);
      for (size_t c = 0; c < count; ++c) sums[c] = start;
      for (size_t i = 0; i < s.reduced.count; ++i) {
        kernel.columns(
            {s.reduction, from + s.reduced.Offset(i) + column, s.row_stride, s.rows, count, sums});
      }
      for (size_t c = 0; c < count; ++c) finish(item / blocks * s.columns + column + c, sums[c]);
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
  RunWith<float>(op, run, *s.f32, start, [&](size_t i, float sum) {
    if (s.attrs.function == kReduceMean) sum /= s.count;
    if (s.attrs.function == kReduceL2) sum = sqrtf(sum);
    y[i] = Clamp(sum, s.attrs.clamp.lo, s.attrs.clamp.hi);
  });
}

void RunI8(const PreparedOp& op, const RunContext& run) {
  const ReduceState& s = op.State<ReduceState>();
  int8_t* y = WriteData<int8_t>(op.Output(), run);
  if (s.attrs.function == kReduceMean) {
    RunWith<int8_t>(op, run, *s.i8, int32_t{0}, [&](size_t i, int32_t sum) {
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
  PTQ_RETURN_IF_ERROR(CheckDType("x", x, 1u << kF32 | 1u << kI8));
  PTQ_RETURN_IF_ERROR(CheckDType("output", y, 1u << x.dtype));
  PTQ_RETURN_IF_ERROR(CheckPerTensor("x", x));
  PTQ_RETURN_IF_ERROR(CheckPerTensor("output", y));
  if (attrs.function >= kReduceFunctionCount) {
    return Fail(PTQ_BAD_FILE, "function: %" PRIu32 " is not below %d", attrs.function,
                kReduceFunctionCount);
  }
  const bool selects = attrs.function == kReduceMax || attrs.function == kReduceMin;
  if (x.dtype == kI8 && !selects && attrs.function != kReduceMean) {
    return Fail(PTQ_BAD_FILE, "function: %" PRIu32 " has no i8 form (mean, max and min have)",
                attrs.function);
  }
  if (attrs.axes >> x.rank != 0) {
    return Fail(PTQ_BAD_FILE, "axes: 0x%" PRIx32 " names a dimension beyond the rank %" PRIu32,
                attrs.axes, x.rank);
  }
  PTQ_RETURN_IF_ERROR(CheckClamp(attrs.clamp));
  PTQ_RETURN_IF_ERROR(CheckRank("output", y, x.rank));
  for (uint32_t d = 0; d < x.rank; ++d)
    PTQ_RETURN_IF_ERROR(CheckDim("output", y, d, attrs.axes >> d & 1 ? 1 : x.dims[d]));
  if (selects) return CheckSameQparams(x, y);
  const uint64_t count = x.elements / y.elements;
  if (x.dtype == kI8 && count > kMaxMeanElements) {
    return Fail(PTQ_UNSUPPORTED, "axes: a mean of %" PRIu64 " int8, more than %" PRIu64, count,
                kMaxMeanElements);
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
    state->f32 = SelectKernel(kReduceF32Kernels, kReduceF32KernelCount, features);
    op->kernel = state->f32->name;
    op->run = RunF32;
    return PTQ_OK;
  }
  state->i8 = SelectKernel(kReduceI8Kernels, kReduceI8KernelCount, features);
  op->kernel = state->i8->name;
  op->run = RunI8;
  if (attrs.function != kReduceMean) return PTQ_OK;
  state->zero_point_sum = x.zero_point * static_cast<int32_t>(count);
  state->multiplier = x.scales[0] / (y.scales[0] * state->count);
  state->range = MakeOutputRange(y.zero_point, attrs.clamp.q_min, attrs.clamp.q_max);
  return CheckMultiplier("requantization", state->multiplier);
}

}  // namespace ptq
