// conv2d_add: the sum of a convolution and a residual, a tile at a time while it is in the
// first-level cache.
#include "base/math.h"
#include "ops/conv_state.h"

namespace ptq {

ptq_status PrepareResidual(uint32_t features, const Conv2dAddAttrs& attrs, PreparedOp* op) {
  ConvState* state = op->MutableState<ConvState>();
  const Tensor &r = *op->Input(2), &y = op->Output();
  Residual* residual = &state->residual;
  residual->lo = attrs.clamp.lo;
  residual->hi = attrs.clamp.hi;
  if (y.dtype == kF32) {
    residual->f32 = SelectForOp(kBinaryF32Kernels, kAdd, features);
  } else if (y.dtype == kF16) {
    residual->f16 = SelectForOp(kBinaryF16Kernels, kAdd, features);
  } else {
    residual->i8 = SelectForOp(kBinaryI8Kernels, kAdd, features);
    BinaryI8Row* row = &residual->i8_parameters;
    row->a_step = row->b_step = 1;
    row->a_zero_point = attrs.zero_point;
    row->b_zero_point = r.zero_point;
    row->a_multiplier = attrs.scale / y.scales[0];
    row->b_multiplier = r.scales[0] / y.scales[0];
    row->range = MakeOutputRange(y.zero_point, attrs.clamp.q_min, attrs.clamp.q_max);
    PTQ_RETURN_IF_ERROR(CheckMultiplier("scale", row->a_multiplier));
    PTQ_RETURN_IF_ERROR(CheckMultiplier("r", row->b_multiplier));
    residual->small = Max(row->a_multiplier, row->b_multiplier) < 1 << 20;
  }
  // A tile of winograd or of a gemm, or a row of a depthwise convolution.
  const uint64_t pixels = state->winograd != nullptr ? kWinogradOutputs * kWinogradOutputs
                          : state->mr != 0           ? state->mr
                                                     : state->geometry.out_w;
  const uint64_t elements =
      pixels * (state->mr != 0 ? state->panel_blocks * state->nr : state->geometry.out_c);
  state->tile_offset = op->TakeWorkspace(elements * ElementSize(y.dtype));
  return PTQ_OK;
}

namespace {

template <typename T>
void AddReal(const PreparedOp& op, const RunContext& run, const BinaryRealKernel<T>& kernel,
             const void* tile, size_t at, size_t columns) {
  const Residual& residual = op.State<ConvState>().residual;
  kernel.run({static_cast<const T*>(tile), ReadData<T>(*op.Input(2), run) + at, 1, 1,
              WriteData<T>(op.Output(), run) + at, columns, residual.lo, residual.hi});
}

}  // namespace

void AddResidual(const PreparedOp& op, const RunContext& run, const void* tile, size_t at,
                 size_t rows, size_t columns) {
  const ConvState& s = op.State<ConvState>();
  const size_t out_c = s.geometry.out_c;
  if (columns == out_c) {  // pixels follow one another in the output as they do in the tile
    columns *= rows;
    rows = 1;
  }
  for (size_t i = 0; i < rows; ++i, at += out_c) {
    if (s.residual.f32 != nullptr) {
      AddReal(op, run, *s.residual.f32, static_cast<const float*>(tile) + i * columns, at, columns);
      continue;
    }
    if (s.residual.f16 != nullptr) {
      AddReal(op, run, *s.residual.f16, static_cast<const Half*>(tile) + i * columns, at, columns);
      continue;
    }
    BinaryI8Row row = s.residual.i8_parameters;
    row.a = static_cast<const int8_t*>(tile) + i * columns;
    row.b = ReadData<int8_t>(*op.Input(2), run) + at;
    row.y = WriteData<int8_t>(op.Output(), run) + at;
    row.count = columns;
    s.residual.i8->run(row);
  }
}

}  // namespace ptq
