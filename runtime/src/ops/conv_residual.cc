// The sum of a convolution and a residual, a tile at a time while it is in the
// first-level cache.
#include "base/math.h"
#include "ops/conv_prepare.h"

namespace ptq {
namespace {

const KernelList<BinaryF32Kernel>& Kernels(float) { return kBinaryF32Kernels; }
const KernelList<BinaryF16Kernel>& Kernels(Half) { return kBinaryF16Kernels; }
const KernelList<BinaryI8Kernel>& Kernels(int8_t) { return kBinaryI8Kernels; }

template <typename T>
ptq_status PrepareOperands(const Conv2dAddAttrs& attrs, const PreparedOp&, Residual<T>* residual) {
  residual->lo = attrs.clamp.lo;
  residual->hi = attrs.clamp.hi;
  return PTQ_OK;
}

ptq_status PrepareOperands(const Conv2dAddAttrs& attrs, const PreparedOp& op,
                           Residual<int8_t>* residual) {
  const Tensor &r = *op.Input(2), &y = op.Output();
  BinaryI8Row* row = &residual->parameters;
  row->a_step = row->b_step = 1;
  row->a_zero_point = attrs.zero_point;
  row->b_zero_point = r.zero_point;
  row->a_multiplier = attrs.scale / y.scales[0];
  row->b_multiplier = r.scales[0] / y.scales[0];
  row->range = MakeOutputRange(y.zero_point, attrs.clamp.q_min, attrs.clamp.q_max);
  PTQ_RETURN_IF_ERROR(CheckMultiplier("scale", row->a_multiplier));
  PTQ_RETURN_IF_ERROR(CheckMultiplier("r", row->b_multiplier));
  residual->small = Max(row->a_multiplier, row->b_multiplier) < 1 << 20;
  return PTQ_OK;
}

template <typename T>
void AddRow(const Residual<T>& residual, const T* a, const T* b, T* y, size_t count) {
  residual.kernel->run({a, b, 1, 1, y, count, residual.lo, residual.hi});
}

void AddRow(const Residual<int8_t>& residual, const int8_t* a, const int8_t* b, int8_t* y,
            size_t count) {
  BinaryI8Row row = residual.parameters;
  row.a = a;
  row.b = b;
  row.y = y;
  row.count = count;
  residual.kernel->run(row);
}

}  // namespace

template <typename T>
ptq_status PrepareResidual(uint32_t features, const Convolution& conv, uint64_t elements,
                           PreparedOp* op, Residual<T>* residual) {
  if (conv.add == nullptr) return PTQ_OK;
  residual->kernel = SelectForOp(Kernels(T{}), kAdd, features);
  PTQ_RETURN_IF_ERROR(PrepareOperands(*conv.add, *op, residual));
  residual->tile_offset = op->TakeWorkspace(elements * sizeof(T));
  return PTQ_OK;
}

template <typename T>
void AddResidual(const PreparedOp& op, const RunContext& run, const ConvState<T>& state,
                 const void* tile, size_t at, size_t rows, size_t columns) {
  const size_t out_c = state.geometry.out_c;
  if (columns == out_c) {  // pixels follow one another in the output as they do in the tile
    columns *= rows;
    rows = 1;
  }
  const T* a = static_cast<const T*>(tile);
  const T* b = ReadData<T>(*op.Input(2), run);
  T* y = WriteData<T>(op.Output(), run);
  for (size_t i = 0; i < rows; ++i, a += columns, at += out_c)
    AddRow(state.residual, a, b + at, y + at, columns);
}

#define PTQ_OF_TYPE(T)                                                                        \
  template ptq_status PrepareResidual<T>(uint32_t, const Convolution&, uint64_t, PreparedOp*, \
                                         Residual<T>*);                                       \
  template void AddResidual<T>(const PreparedOp&, const RunContext&, const ConvState<T>&,     \
                               const void*, size_t, size_t, size_t);
PTQ_OF_TYPE(float)
PTQ_OF_TYPE(Half)
PTQ_OF_TYPE(int8_t)
#undef PTQ_OF_TYPE

}  // namespace ptq
