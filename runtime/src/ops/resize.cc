// resize: x [N,H,W,C] -> y [N,OH,OW,C], nearest or linear, by ONNX's coordinates
// (docs/numerics.md, "Resize").
#include <inttypes.h>
#include <math.h>

#include "base/math.h"
#include "kernels/convert/contract.h"
#include "kernels/copy/contract.h"
#include "kernels/elementwise/contract.h"
#include "kernels/resize/contract.h"
#include "ops/checks.h"
#include "ops/int8_table.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 8192;

struct ResizeState {
  ResizeAttrs attrs;
  // nearest: the pixel of x of each row and column of y
  const CopyKernel* copy;
  Array<uint32_t> near_rows, near_columns;
  // linear
  const ResizeF32Kernel* linear;
  Array<Neighbours> rows, columns;
  size_t x_row;  // floats of a row of x, rounded up to a cache line
  OutputRange range;
  const DequantizeKernel* dequantize;
  const QuantizeKernel* quantize;
  // clamp of nearest, null: none
  const ClampF32Kernel* clamp_f32;
  const LookupKernel* clamp_i8;
  Int8Table table;
};

// Where output pixel `i` of `outputs` lies in a dimension of `size`; every operation rounds to
// float.
float Coordinate(uint32_t mode, float scale, uint32_t i, uint32_t size, uint32_t outputs) {
  const float at = static_cast<float>(i);
  switch (mode) {
    case kResizeAsymmetric:
      return at / scale;
    case kResizeAlignCorners:
      return outputs == 1 ? 0.0f
                          : at * static_cast<float>(size - 1) / static_cast<float>(outputs - 1);
    case kResizePytorchHalfPixel:
      if (outputs == 1) return 0.0f;
      break;
  }
  return (at + 0.5f) / scale - 0.5f;
}

uint32_t Nearest(uint32_t rounding, float coordinate, uint32_t size) {
  const float below = floorf(coordinate), part = coordinate - below;
  const bool up = rounding == kResizeRoundPreferFloor  ? part > 0.5f
                  : rounding == kResizeRoundPreferCeil ? part >= 0.5f
                  : rounding == kResizeCeil            ? part > 0.0f
                                                       : false;
  // In double, where every float and its successor are exact; also for coordinates of infinity.
  const double pixel = static_cast<double>(below) + (up ? 1 : 0);
  return static_cast<uint32_t>(Clamp(pixel, 0.0, static_cast<double>(size - 1)));
}

Neighbours Around(float coordinate, uint32_t size) {
  const float inside = Clamp(coordinate, 0.0f, static_cast<float>(size - 1));
  // float(size - 1) may have been rounded up to beyond the last pixel.
  const uint32_t before = Min(static_cast<uint32_t>(inside), size - 1);
  const uint32_t behind = Min(before + 1, size - 1);
  if (before == behind) return {before, behind, 0.5f, 0.5f};
  return {before, behind, static_cast<float>(behind) - inside, inside - static_cast<float>(before)};
}

template <typename T, typename F>
ptq_status Tabulate(const ResizeAttrs& attrs, float scale, uint32_t size, uint32_t outputs,
                    Array<T>* table, F entry) {
  PTQ_RETURN_IF_ERROR(table->Allocate(outputs));
  for (uint32_t i = 0; i < outputs; ++i)
    (*table)[i] = entry(Coordinate(attrs.coordinates, scale, i, size, outputs), size);
  return PTQ_OK;
}

// Rows of y, N and OH taken as one dimension.
struct Rows {
  size_t count, grain;
};
Rows RowsOf(const Tensor& y) {
  const size_t elements = static_cast<size_t>(y.dims[2]) * y.dims[3];
  return {static_cast<size_t>(y.dims[0]) * y.dims[1], kGrainElements / elements + 1};
}

void ClampRow(const ResizeState& s, uint8_t* row, size_t elements) {
  if (s.clamp_f32 != nullptr) {
    float* values = reinterpret_cast<float*>(row);
    s.clamp_f32->run(values, values, elements, s.attrs.clamp.lo, s.attrs.clamp.hi);
  } else if (s.clamp_i8 != nullptr) {
    int8_t* values = reinterpret_cast<int8_t*>(row);
    s.clamp_i8->run(values, values, elements, s.table.values);
  }
}

void RunNearest(const PreparedOp& op, const RunContext& run) {
  const ResizeState& s = op.State<ResizeState>();
  const Tensor &x = *op.Input(0), &y = op.Output();
  const size_t item = y.dims[3] * ElementSize(y.dtype), in_row = x.dims[2] * item,
               out_row = y.dims[2] * item, out_h = y.dims[1];
  const uint8_t* input = ReadData<uint8_t>(x, run);
  uint8_t* output = WriteData<uint8_t>(y, run);
  auto body = [&](size_t begin, size_t end, size_t) {
    size_t previous = 0;  // row of x that the row of y before this one shows
    for (size_t row = begin; row < end; ++row) {
      const size_t from = row / out_h * x.dims[1] + s.near_rows[row % out_h];
      uint8_t* to = output + row * out_row;
      if (row > begin && from == previous) {
        memcpy(to, to - out_row, out_row);
        continue;
      }
      s.copy->indexed({input + from * in_row, s.near_columns.data(), to, item, y.dims[2]});
      ClampRow(s, to, out_row / ElementSize(y.dtype));
      previous = from;
    }
  };
  const Rows rows = RowsOf(y);
  run.pool->ParallelFor(rows.count, rows.grain, body);
}

// Computes row `row` of y (of N * OH) into `to` from the rows `top` and `bottom` of x.
void RunLinearRow(const ResizeState& s, const Tensor& y, size_t row, const float* top,
                  const float* bottom, float* to, float lo, float hi) {
  const Neighbours& around = s.rows[row % y.dims[1]];
  s.linear->run({top, bottom, around.before_weight, around.behind_weight, s.columns.data(), to,
                 y.dims[2], y.dims[3], lo, hi});
}

void RunLinearF32(const PreparedOp& op, const RunContext& run) {
  const ResizeState& s = op.State<ResizeState>();
  const Tensor &x = *op.Input(0), &y = op.Output();
  const size_t in_row = static_cast<size_t>(x.dims[2]) * x.dims[3],
               out_row = static_cast<size_t>(y.dims[2]) * y.dims[3], out_h = y.dims[1];
  const float* input = ReadData<float>(x, run);
  float* output = WriteData<float>(y, run);
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t row = begin; row < end; ++row) {
      const float* picture = input + row / out_h * x.dims[1] * in_row;
      const Neighbours& around = s.rows[row % out_h];
      RunLinearRow(s, y, row, picture + around.before * in_row, picture + around.behind * in_row,
                   output + row * out_row, s.attrs.clamp.lo, s.attrs.clamp.hi);
    }
  };
  const Rows rows = RowsOf(y);
  run.pool->ParallelFor(rows.count, rows.grain, body);
}

// Rows of x are dequantized once for all rows of y that lie between them, into two places in the
// workspace: a row of x keeps the place of its parity, so that neighbours never share one. A third
// place holds the row of y before it is quantized.
void RunLinearI8(const PreparedOp& op, const RunContext& run) {
  const ResizeState& s = op.State<ResizeState>();
  const Tensor &x = *op.Input(0), &y = op.Output();
  const size_t in_row = static_cast<size_t>(x.dims[2]) * x.dims[3],
               out_row = static_cast<size_t>(y.dims[2]) * y.dims[3], in_h = x.dims[1],
               out_h = y.dims[1];
  const int8_t* input = ReadData<int8_t>(x, run);
  int8_t* output = WriteData<int8_t>(y, run);
  auto body = [&](size_t begin, size_t end, size_t thread) {
    float* places[2] = {reinterpret_cast<float*>(run.Workspace(thread))};
    places[1] = places[0] + s.x_row;
    float* result = places[1] + s.x_row;
    size_t held[2] = {SIZE_MAX, SIZE_MAX};
    const auto real_row = [&](size_t picture, size_t row) {
      const size_t place = row % 2, wanted = picture * in_h + row;
      if (held[place] != wanted) {
        s.dequantize->run(input + wanted * in_row, places[place], in_row, x.scales[0],
                          x.zero_point);
        held[place] = wanted;
      }
      return places[place];
    };
    for (size_t row = begin; row < end; ++row) {
      const Neighbours& around = s.rows[row % out_h];
      const float* top = real_row(row / out_h, around.before);
      const float* bottom = real_row(row / out_h, around.behind);
      RunLinearRow(s, y, row, top, bottom, result, -INFINITY, INFINITY);
      s.quantize->run(result, output + row * out_row, out_row, y.scales[0], s.range);
    }
  };
  const Rows rows = RowsOf(y);
  run.pool->ParallelFor(rows.count, rows.grain, body);
}

ptq_status CheckResize(const Tensor& x, const Tensor& y, const ResizeAttrs& attrs) {
  PTQ_RETURN_IF_ERROR(CheckDim("output", y, 0, x.dims[0]));
  PTQ_RETURN_IF_ERROR(CheckDim("output", y, 3, x.dims[3]));
  if (attrs.mode == kResizeLinear && attrs.rounding != 0)
    return Fail(PTQ_BAD_FILE, "rounding: %" PRIu32 " of a linear resize", attrs.rounding);
  return attrs.mode == kResizeNearest ? CheckSameQparams(x, y) : PTQ_OK;
}

ptq_status PrepareNearest(uint32_t features, PreparedOp* op, ResizeState* state) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  const ResizeAttrs& attrs = state->attrs;
  const auto nearest = [&](float at, uint32_t size) { return Nearest(attrs.rounding, at, size); };
  PTQ_RETURN_IF_ERROR(
      Tabulate(attrs, attrs.scale_h, x.dims[1], y.dims[1], &state->near_rows, nearest));
  PTQ_RETURN_IF_ERROR(
      Tabulate(attrs, attrs.scale_w, x.dims[2], y.dims[2], &state->near_columns, nearest));
  state->copy = SelectKernel(kCopyKernels, features);
  op->kernel = state->copy->name;
  op->run = RunNearest;
  if (x.dtype == kF32) {
    if (attrs.clamp.lo != -INFINITY || attrs.clamp.hi != INFINITY)
      state->clamp_f32 = SelectKernel(kClampF32Kernels, features);
    return PTQ_OK;
  }
  MakeRequantizeTable(x, y, attrs.clamp, &state->table);
  if (!state->table.identity) state->clamp_i8 = SelectKernel(kLookupKernels, features);
  return PTQ_OK;
}

ptq_status PrepareLinear(uint32_t features, PreparedOp* op, ResizeState* state) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  const ResizeAttrs& attrs = state->attrs;
  PTQ_RETURN_IF_ERROR(Tabulate(attrs, attrs.scale_h, x.dims[1], y.dims[1], &state->rows, Around));
  PTQ_RETURN_IF_ERROR(
      Tabulate(attrs, attrs.scale_w, x.dims[2], y.dims[2], &state->columns, Around));
  state->linear = SelectKernel(kResizeF32Kernels, features);
  op->kernel = state->linear->name;
  op->run = RunLinearF32;
  if (x.dtype == kF32) return PTQ_OK;
  const uint64_t x_row = RoundUp(static_cast<uint64_t>(x.dims[2]) * x.dims[3], 16),
                 y_row = RoundUp(static_cast<uint64_t>(y.dims[2]) * y.dims[3], 16);
  const uint64_t floats = 2 * x_row + y_row;
  if (floats > SIZE_MAX / 2 / sizeof(float)) {
    return Fail(PTQ_OUT_OF_MEMORY, "cannot allocate a workspace of %" PRIu64 " floats", floats);
  }
  state->x_row = static_cast<size_t>(x_row);
  state->range = MakeOutputRange(y.zero_point, attrs.clamp.q_min, attrs.clamp.q_max);
  state->dequantize = SelectKernel(kDequantizeKernels, features);
  state->quantize = SelectKernel(kQuantizeKernels, features);
  op->TakeWorkspace(floats * sizeof(float));
  op->run = RunLinearI8;
  return PTQ_OK;
}

}  // namespace

ptq_status PrepareResize(uint32_t features, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  const ResizeAttrs attrs = op->GetAttrs<ResizeAttrs>();
  PTQ_RETURN_IF_ERROR(CheckResize(x, y, attrs));
  ResizeState* state = op->MakeState<ResizeState>();
  if (state == nullptr) return OutOfMemory();
  state->attrs = attrs;
  return attrs.mode == kResizeNearest ? PrepareNearest(features, op, state)
                                      : PrepareLinear(features, op, state);
}

}  // namespace ptq
