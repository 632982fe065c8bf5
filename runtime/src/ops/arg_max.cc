// arg_max: x f32, i8 or integers -> y i32, the index of the largest element along one axis.

#include "base/math.h"
#include "kernels/arg_max/contract.h"
#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;
constexpr size_t kColumns = 64;  // of one item of work

struct ArgMaxState {
  const ArgMaxKernel<float>* f32;
  const ArgMaxKernel<int8_t>* i8;
  size_t outer, count, inner;  // the product of the dimensions before, of, and after the axis
  bool select_last;
};

template <typename T>
void RunArgMax(const PreparedOp& op, const RunContext& run, const ArgMaxKernel<T>& kernel) {
  const ArgMaxState& s = op.State<ArgMaxState>();
  const T* x = ReadData<T>(*op.Input(0), run);
  int32_t* y = WriteData<int32_t>(op.Output(), run);
  if (s.inner == 1) {
    auto body = [&](size_t begin, size_t end, size_t) {
      kernel.rows({x + begin * s.count, s.count, end - begin, y + begin, s.select_last});
    };
    run.pool->ParallelFor(s.outer, kGrainElements / s.count + 1, body);
    return;
  }
  const size_t blocks = CeilDiv(s.inner, kColumns);
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t item = begin; item < end; ++item) {
      const size_t outer = item / blocks, column = item % blocks * kColumns;
      kernel.columns({x + outer * s.count * s.inner + column, s.inner, s.count,
                      Min(kColumns, s.inner - column), y + outer * s.inner + column,
                      s.select_last});
    }
  };
  run.pool->ParallelFor(s.outer * blocks, kGrainElements / (s.count * kColumns) + 1, body);
}

// Types without kernels of their own.
template <typename T>
void RunPlain(const PreparedOp& op, const RunContext& run) {
  const ArgMaxState& s = op.State<ArgMaxState>();
  const T* x = ReadData<T>(*op.Input(0), run);
  int32_t* y = WriteData<int32_t>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t item = begin; item < end; ++item) {
      const T* values = x + item / s.inner * s.count * s.inner + item % s.inner;
      size_t best = 0;
      for (size_t i = 1; i < s.count; ++i) {
        const T value = values[i * s.inner], most = values[best * s.inner];
        if (s.select_last ? value >= most : value > most) best = i;
      }
      y[item] = static_cast<int32_t>(best);
    }
  };
  run.pool->ParallelFor(s.outer * s.inner, kGrainElements / s.count + 1, body);
}

}  // namespace

ptq_status PrepareArgMax(uint32_t features, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  const ArgMaxAttrs attrs = op->GetAttrs<ArgMaxAttrs>();
  for (uint32_t d = 0; d < x.rank; ++d)
    PTQ_RETURN_IF_ERROR(CheckDim("output", y, d, d == attrs.axis ? 1 : x.dims[d]));
  ArgMaxState* state = op->MakeState<ArgMaxState>();
  if (state == nullptr) return OutOfMemory();
  SplitAtAxis(x, attrs.axis, &state->outer, &state->count, &state->inner);
  state->select_last = attrs.select_last != 0;
  if (x.dtype != kF32 && x.dtype != kI8) {
    op->kernel = "arg_max_plain__scalar";
    op->run = x.dtype == kI32   ? RunPlain<int32_t>
              : x.dtype == kI64 ? RunPlain<int64_t>
                                : RunPlain<uint8_t>;
  } else if (x.dtype == kF32) {
    state->f32 = SelectKernel(kArgMaxF32Kernels, features);
    op->kernel = state->f32->name;
    op->run = [](const PreparedOp& self, const RunContext& run) {
      RunArgMax(self, run, *self.State<ArgMaxState>().f32);
    };
  } else {
    state->i8 = SelectKernel(kArgMaxI8Kernels, features);
    op->kernel = state->i8->name;
    op->run = [](const PreparedOp& self, const RunContext& run) {
      RunArgMax(self, run, *self.State<ArgMaxState>().i8);
    };
  }
  return PTQ_OK;
}

}  // namespace ptq
