// Running a convolution as an indirect gemm: cut the output into tiles of pixels and panels of
// channels, and call the kernel for each.
#include "base/math.h"
#include "ops/conv_rows.h"
#include "ops/conv_state.h"

namespace ptq {
namespace {

// Less than this on a thread is not worth waking it, in multiply-accumulates.
constexpr size_t kGrainMacs = 32768;

size_t RowStep(const ConvState& s) {
  const size_t steps[] = {s.geometry.in_c, 0, s.patch_stride};  // by ConvRows
  return steps[s.rows];
}

// A panel of the output: `count` pixels, `columns` channels of a group.
struct Panel {
  size_t count, columns;
  size_t slot;  // of its first channel in the padded per-channel arrays
  void* output;
  size_t output_stride;
};

void RunPanel(const PreparedOp& op, const float* const* rows, const Panel& panel) {
  const ConvState& s = op.State<ConvState>();
  s.gemm_f32->run({rows, RowStep(s), s.gemm_taps, s.gemm_depth,
                   s.weights_f32.data() + panel.slot * s.packed_products,
                   s.bias_f32.data() + panel.slot, panel.count, panel.columns,
                   static_cast<float*>(panel.output), panel.output_stride, s.lo, s.hi});
}

void RunPanel(const PreparedOp& op, const int8_t* const* rows, const Panel& panel) {
  const ConvState& s = op.State<ConvState>();
  const bool float_output = op.Output().dtype == kF32;
  s.gemm_i8->run({rows, RowStep(s), s.gemm_taps, s.gemm_depth,
                  s.weights_i8.data() + panel.slot * s.packed_products,
                  s.bias_i32.data() + panel.slot, s.multiplier.data() + panel.slot, panel.count,
                  panel.columns, float_output ? nullptr : static_cast<int8_t*>(panel.output),
                  s.range, float_output ? static_cast<float*>(panel.output) : nullptr, s.lo, s.hi,
                  panel.output_stride});
}

template <typename T>
void RunGemm(const PreparedOp& op, const RunContext& run, const T* input, const T* padding) {
  const ConvState& s = op.State<ConvState>();
  const ConvGeometry& g = s.geometry;
  const size_t pixels = g.batch * g.out_h * g.out_w, tiles = CeilDiv(pixels, s.mr);
  const size_t outputs = g.GroupOutputs(), panel_width = s.panel_blocks * s.nr,
               panels = CeilDiv(outputs, panel_width);
  uint8_t* output = WriteData<uint8_t>(op.Output(), run);
  const size_t element_size = ElementSize(op.Output().dtype);
  // Pixels innermost: a panel's weights stay in the cache while the input streams past them.
  auto body = [&](size_t begin, size_t end, size_t thread) {
    const T** rows = reinterpret_cast<const T**>(run.Workspace(thread));
    T* patches = reinterpret_cast<T*>(rows + s.gemm_taps * s.mr);
    for (size_t item = begin; item < end; ++item) {
      const size_t tile = item % tiles, column = item / tiles % panels * panel_width,
                   group = item / tiles / panels;
      const size_t pixel = pixels * tile / tiles, at = pixel * g.out_c + group * outputs + column;
      Panel panel = {pixels * (tile + 1) / tiles - pixel, Min(panel_width, outputs - column),
                     group * s.blocks * s.nr + column, output + at * element_size, g.out_c};
      if (s.residual.Present()) {
        panel.output = run.Workspace(thread) + s.tile_offset;
        panel.output_stride = panel_width;
      }
      CollectTile(s, input + group * g.GroupInputs(), padding, pixel, panel.count, rows, patches);
      RunPanel(op, rows, panel);
      if (s.residual.Present())
        AddResidual(op, run, panel.output, panel_width, at, panel.count, panel.columns);
    }
  };
  const size_t macs = s.mr * panel_width * s.gemm_taps * s.gemm_depth;
  run.pool->ParallelFor(g.groups * panels * tiles, kGrainMacs / Max<size_t>(macs, 1) + 1, body);
}

}  // namespace

void RunGemmConvolution(const PreparedOp& op, const RunContext& run) {
  const ConvState& s = op.State<ConvState>();
  if (s.gemm_i8 != nullptr) {
    RunGemm(op, run, InputData<int8_t>(op, run, s.input_i8), s.padding_i8.data());
  } else {
    RunGemm(op, run, InputData<float>(op, run, s.input_f32), s.padding_f32.data());
  }
}

}  // namespace ptq
