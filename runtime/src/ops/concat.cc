// concat: x0, x1, ... -> y along one axis; f32 clamps, i8 requantizes each input to the output's
// scale.
#include <inttypes.h>
#include <math.h>

#include "kernels/convert/contract.h"
#include "kernels/elementwise/contract.h"
#include "ops/int8_table.h"
#include "ops/registry.h"

namespace ptq {
namespace {

struct ConcatState {
  size_t outer;         // product of the dimensions before the axis
  size_t output_inner;  // elements of y from the axis on
  bool clamps;          // f32: the clamp does something
  ClampAttrs clamp;
  const ClampF32Kernel* f32;
  const LookupKernel* i8;
  Array<Int8Table> tables;  // one per input
};

void CopyF32(const ConcatState& s, const float* x, float* y, size_t count) {
  if (s.clamps) {
    s.f32->run(x, y, count, s.clamp.lo, s.clamp.hi);
  } else {
    memcpy(y, x, count * sizeof(float));
  }
}

void CopyI8(const ConcatState& s, const Int8Table& table, const int8_t* x, int8_t* y,
            size_t count) {
  if (table.identity) {
    memcpy(y, x, count);
  } else {
    s.i8->run(x, y, count, table.values);
  }
}

void RunConcat(const PreparedOp& op, const RunContext& run) {
  const ConcatState& s = op.State<ConcatState>();
  const Tensor& y = op.Output();
  size_t offset = 0;
  for (uint32_t i = 0; i < op.op->input_count; ++i) {
    const Tensor& x = *op.Input(i);
    const size_t inner = static_cast<size_t>(x.elements) / s.outer;
    for (size_t o = 0; o < s.outer; ++o) {
      const size_t from = o * inner, to = o * s.output_inner + offset;
      if (y.dtype == kF32) {
        CopyF32(s, ReadData<float>(x, run) + from, WriteData<float>(y, run) + to, inner);
      } else {
        CopyI8(s, s.tables[i], ReadData<int8_t>(x, run) + from, WriteData<int8_t>(y, run) + to,
               inner);
      }
    }
    offset += inner;
  }
}

ptq_status CheckInputs(const PreparedOp& op, uint32_t axis) {
  const Tensor& y = op.Output();
  uint64_t total = 0;
  for (uint32_t i = 0; i < op.op->input_count; ++i) {
    const Tensor& x = *op.Input(i);
    PTQ_RETURN_IF_ERROR(CheckDType("x", x, 1u << y.dtype));
    PTQ_RETURN_IF_ERROR(CheckRank("x", x, y.rank));
    for (uint32_t d = 0; d < y.rank; ++d) {
      if (d != axis) PTQ_RETURN_IF_ERROR(CheckDim("x", x, d, y.dims[d]));
    }
    total += x.dims[axis];
  }
  return CheckDim("output", y, axis, total);
}

}  // namespace

ptq_status PrepareConcat(uint32_t features, PreparedOp* op) {
  const Tensor& y = op->Output();
  const ConcatAttrs attrs = op->GetAttrs<ConcatAttrs>();
  PTQ_RETURN_IF_ERROR(CheckDType("output", y, 1u << kF32 | 1u << kI8));
  PTQ_RETURN_IF_ERROR(CheckClamp(attrs.clamp));
  if (attrs.axis >= y.rank) {
    return Fail(PTQ_BAD_FILE, "axis: %" PRIu32 " is not below the rank %" PRIu32, attrs.axis,
                y.rank);
  }
  PTQ_RETURN_IF_ERROR(CheckInputs(*op, attrs.axis));
  ConcatState* state = op->MakeState<ConcatState>();
  if (state == nullptr) return OutOfMemory();
  state->clamp = attrs.clamp;
  state->clamps = attrs.clamp.lo != -INFINITY || attrs.clamp.hi != INFINITY;
  state->outer = 1;
  for (uint32_t d = 0; d < attrs.axis; ++d) state->outer *= y.dims[d];
  state->output_inner = static_cast<size_t>(y.elements) / state->outer;
  op->run = RunConcat;
  if (y.dtype == kF32) {
    state->f32 = SelectKernel(kClampF32Kernels, kClampF32KernelCount, features);
    op->kernel = state->f32->name;
    return PTQ_OK;
  }
  state->i8 = SelectKernel(kLookupKernels, kLookupKernelCount, features);
  op->kernel = state->i8->name;
  PTQ_RETURN_IF_ERROR(state->tables.Allocate(op->op->input_count));
  for (uint32_t i = 0; i < op->op->input_count; ++i) {
    PTQ_RETURN_IF_ERROR(MakeRequantizeTable(*op->Input(i), y, attrs.clamp, &state->tables[i]));
  }
  return PTQ_OK;
}

}  // namespace ptq
