// cum_sum: x -> y, the sum of x up to each element along one axis, itself included or not.
#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 8192;

struct CumSumState {
  size_t outer, count, inner;
  bool exclusive, reverse;
};

// Floats are summed in double, and each sum is rounded once; integers wrap around.
template <typename T, typename Sum>
void RunCumSum(const PreparedOp& op, const RunContext& run) {
  const CumSumState& s = op.State<CumSumState>();
  const T* x = ReadData<T>(*op.Input(0), run);
  T* y = WriteData<T>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t line = begin; line < end; ++line) {
      const size_t first = line / s.inner * s.count * s.inner + line % s.inner;
      Sum sum = 0;
      for (size_t i = 0; i < s.count; ++i) {
        const size_t at = first + (s.reverse ? s.count - 1 - i : i) * s.inner;
        const Sum value = static_cast<Sum>(x[at]), next = i == 0 ? value : sum + value;  // -0 stays
        y[at] = static_cast<T>(s.exclusive ? sum : next);
        sum = next;
      }
    }
  };
  run.pool->ParallelFor(s.outer * s.inner, kGrainElements / s.count + 1, body);
}

}  // namespace

// Types, shape and attributes were checked by the row.
ptq_status PrepareCumSum(uint32_t, PreparedOp* op) {
  const Tensor& x = *op->Input(0);
  const CumSumAttrs attrs = op->GetAttrs<CumSumAttrs>();
  CumSumState* state = op->MakeState<CumSumState>();
  if (state == nullptr) return OutOfMemory();
  SplitAtAxis(x, attrs.axis, &state->outer, &state->count, &state->inner);
  state->exclusive = attrs.exclusive != 0;
  state->reverse = attrs.reverse != 0;
  op->kernel = "cum_sum__scalar";
  op->run = x.dtype == kF32   ? RunCumSum<float, double>
            : x.dtype == kI32 ? RunCumSum<int32_t, uint32_t>
                              : RunCumSum<int64_t, uint64_t>;
  return PTQ_OK;
}

}  // namespace ptq
