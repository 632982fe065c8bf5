// concat: x0, x1, ... -> y along one axis; f32 and f16 clamp, i8 requantizes each input to the
// output's scale, others are copied.
#include <math.h>

#include "kernels/convert/contract.h"
#include "kernels/copy/contract.h"
#include "kernels/elementwise/contract.h"
#include "ops/checks.h"
#include "ops/int8_table.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;

// y is `outer` rows; a row is one run of each input after the other.
struct ConcatState {
  size_t outer;  // product of the dimensions before the axis
  size_t y_row;  // elements of y from the axis on
  const CopyKernel* copy;
  bool clamps;  // f32, f16: the clamp does something
  ClampAttrs clamp;
  const ClampF32Kernel* f32;
  const ClampF16Kernel* f16;
  const LookupKernel* i8;
  Array<Int8Table> tables;  // of i8, one per input
};

// Elements [from, from + count) of `rows` rows of input `i`, which begin at x and go to y.
template <typename T>
void CopyPart(const ConcatState& s, uint32_t i, const T* x, size_t x_row, T* y, size_t count,
              size_t rows) {
  const bool plain = s.tables.size() == 0 ? !s.clamps : s.tables[i].identity;
  if (plain) {
    if (static_cast<const void*>(x) == y) return;  // the memory plan put it there
    s.copy->rows({reinterpret_cast<const uint8_t*>(x), static_cast<ptrdiff_t>(x_row * sizeof(T)),
                  reinterpret_cast<uint8_t*>(y), static_cast<ptrdiff_t>(s.y_row * sizeof(T)),
                  count * sizeof(T), rows});
    return;
  }
  for (size_t row = 0; row < rows; ++row, x += x_row, y += s.y_row) {
    if constexpr (sizeof(T) == sizeof(float)) {
      s.f32->run(x, y, count, s.clamp.lo, s.clamp.hi);
    } else if constexpr (sizeof(T) == sizeof(Half)) {
      s.f16->run(x, y, count, s.clamp.lo, s.clamp.hi);
    } else if constexpr (sizeof(T) == sizeof(int8_t)) {
      s.i8->run(x, y, count, s.tables[i].values);
    }
  }
}

// Columns [begin, end) of `rows` rows of y from row `row` on.
template <typename T>
void CopyColumns(const PreparedOp& op, const RunContext& run, size_t row, size_t rows, size_t begin,
                 size_t end) {
  const ConcatState& s = op.State<ConcatState>();
  T* y = WriteData<T>(op.Output(), run) + row * s.y_row;
  size_t offset = 0;
  for (uint32_t i = 0; i < op.op->input_count && offset < end; ++i) {
    const Tensor& x = *op.Input(i);
    const size_t x_row = static_cast<size_t>(x.elements) / s.outer;
    const size_t from = Max(begin, offset), to = Min(end, offset + x_row);
    if (from < to) {
      CopyPart(s, i, ReadData<T>(x, run) + row * x_row + (from - offset), x_row, y + from,
               to - from, rows);
    }
    offset += x_row;
  }
}

// Pieces of y need not be whole rows: a concatenation of pictures is a single row.
template <typename T>
void RunConcat(const PreparedOp& op, const RunContext& run) {
  const size_t width = op.State<ConcatState>().y_row;
  auto body = [&](size_t begin, size_t end, size_t) {
    while (begin < end) {
      const size_t row = begin / width, column = begin % width;
      const size_t rows = column == 0 ? Max<size_t>((end - begin) / width, 1) : 1;
      const size_t stop = Min(width, column + (end - begin));
      CopyColumns<T>(op, run, row, rows, column, stop);
      begin += (rows - 1) * width + (stop - column);
    }
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements), kGrainElements, body);
}

ptq_status CheckInputs(const PreparedOp& op, uint32_t axis) {
  const Tensor& y = op.Output();
  uint64_t total = 0;
  for (uint32_t i = 0; i < op.op->input_count; ++i) {
    const Tensor& x = *op.Input(i);
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
  PTQ_RETURN_IF_ERROR(CheckInputs(*op, attrs.axis));
  ConcatState* state = op->MakeState<ConcatState>();
  if (state == nullptr) return OutOfMemory();
  state->clamp = attrs.clamp;
  state->clamps = (y.dtype == kF32 || y.dtype == kF16) &&
                  (attrs.clamp.lo != -INFINITY || attrs.clamp.hi != INFINITY);
  state->outer = 1;
  for (uint32_t d = 0; d < attrs.axis; ++d) state->outer *= y.dims[d];
  state->y_row = static_cast<size_t>(y.elements) / state->outer;
  state->copy = SelectKernel(kCopyKernels, features);
  const size_t size = ElementSize(y.dtype);
  op->run = size == 1   ? RunConcat<int8_t>
            : size == 2 ? RunConcat<Half>
            : size == 4 ? RunConcat<float>
                        : RunConcat<int64_t>;
  if (y.dtype == kF32) {
    state->f32 = SelectKernel(kClampF32Kernels, features);
    op->kernel = state->clamps ? state->f32->name : state->copy->name;
    return PTQ_OK;
  }
  if (y.dtype == kF16) {
    state->f16 = SelectKernel(kClampF16Kernels, features);
    op->kernel = state->clamps ? state->f16->name : state->copy->name;
    return PTQ_OK;
  }
  if (y.dtype != kI8) {
    op->kernel = state->copy->name;
    return PTQ_OK;
  }
  state->i8 = SelectKernel(kLookupKernels, features);
  op->kernel = state->i8->name;
  PTQ_RETURN_IF_ERROR(state->tables.Allocate(op->op->input_count));
  for (uint32_t i = 0; i < op->op->input_count; ++i) {
    MakeRequantizeTable(*op->Input(i), y, attrs.clamp, &state->tables[i]);
  }
  return PTQ_OK;
}

}  // namespace ptq
