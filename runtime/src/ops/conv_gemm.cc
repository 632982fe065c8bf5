// Running a convolution as an indirect gemm: cut the output into tiles and panels of channels,
// collect the input rows of a tile, call the kernel.
#include "base/math.h"
#include "ops/conv_state.h"

namespace ptq {
namespace {

// Less than this on a thread is not worth waking it, in multiply-accumulates.
constexpr size_t kGrainMacs = 32768;

// The input pixels that output pixel `index` (of all pictures) sees.
template <typename T>
struct PixelWindow {
  const T* picture;
  int64_t y, x;  // of the first tap, negative in the padding

  PixelWindow(const ConvGeometry& g, const T* input, size_t index) {
    const size_t n = index / (g.out_h * g.out_w), rest = index % (g.out_h * g.out_w);
    picture = input + n * g.in_h * g.in_w * g.in_c;
    y = static_cast<int64_t>(rest / g.out_w * g.h.stride) - g.h.pad_begin;
    x = static_cast<int64_t>(rest % g.out_w * g.w.stride) - g.w.pad_begin;
  }
};

// rows[tap * stride] for each tap of output pixel `index`: its input pixel, or `padding`.
template <typename T>
void CollectRows(const ConvGeometry& g, const T* input, const T* padding, size_t index,
                 size_t stride, const T** rows) {
  const PixelWindow<T> window(g, input, index);
  int64_t y = window.y;
  for (uint32_t ky = 0; ky < g.h.kernel; ++ky, y += g.h.dilation) {
    const bool row_inside = y >= 0 && y < static_cast<int64_t>(g.in_h);
    int64_t x = window.x;
    for (uint32_t kx = 0; kx < g.w.kernel; ++kx, x += g.w.dilation, rows += stride) {
      const bool inside = row_inside && x >= 0 && x < static_cast<int64_t>(g.in_w);
      *rows = inside ? window.picture +
                           (static_cast<size_t>(y) * g.in_w + static_cast<size_t>(x)) * g.in_c
                     : padding;
    }
  }
}

// Copies `count` elements in chunks of 16 bytes: reads and writes up to 15 bytes more.
template <typename T>
T* CopyRun(const T* from, size_t count, T* to) {
  constexpr size_t kChunk = 16 / sizeof(T);
  for (size_t i = 0; i < count; i += kChunk) memcpy(to + i, from + i, 16);
  return to + count;
}

// Writes the window of output pixel `index` as one contiguous row, [taps][GroupInputs()].
template <typename T>
void CollectPatch(const ConvGeometry& g, const T* input, T padding, size_t index, T* patch) {
  const size_t depth = g.GroupInputs();
  const PixelWindow<T> window(g, input, index);
  const auto fill = [&](size_t pixels) {
    for (size_t i = 0; i < pixels * depth; ++i) patch[i] = padding;
    patch += pixels * depth;
  };
  // Neighbouring taps lie side by side in memory too.
  const bool contiguous = g.groups == 1 && g.w.dilation == 1;
  const int64_t width = static_cast<int64_t>(g.in_w), taps = g.w.kernel;
  const int64_t first = Clamp<int64_t>(-window.x, 0, taps),
                last = Clamp<int64_t>(width - window.x, first, taps);
  int64_t y = window.y;
  for (uint32_t ky = 0; ky < g.h.kernel; ++ky, y += g.h.dilation) {
    if (y < 0 || y >= static_cast<int64_t>(g.in_h)) {
      fill(g.w.kernel);
      continue;
    }
    const T* row = window.picture + static_cast<size_t>(y) * g.in_w * g.in_c;
    if (contiguous) {
      fill(static_cast<size_t>(first));
      if (first < last) {
        patch = CopyRun(row + static_cast<size_t>(window.x + first) * g.in_c,
                        static_cast<size_t>(last - first) * depth, patch);
      }
      fill(static_cast<size_t>(taps - last));
      continue;
    }
    int64_t x = window.x;
    for (uint32_t kx = 0; kx < g.w.kernel; ++kx, x += g.w.dilation) {
      if (x < 0 || x >= width) {
        fill(1);
      } else {
        patch = CopyRun(row + static_cast<size_t>(x) * g.in_c, depth, patch);
      }
    }
  }
}

// Fills rows [taps][mr] (and, for patches, `patches`) for `count` output pixels from `pixel` on. A
// tile with fewer than mr pixels repeats its last one.
template <typename T>
void CollectTile(const ConvState& s, const T* input, const T* padding, size_t pixel, size_t count,
                 size_t mr, const T** rows, T* patches) {
  const ConvGeometry& g = s.geometry;
  for (size_t i = 0; i < count; ++i) {
    switch (s.rows) {
      case kPointwiseRows:
        rows[i] = input + (pixel + i) * g.in_c;
        break;
      case kIndirectRows:
        CollectRows(g, input, padding, pixel + i, mr, rows + i);
        break;
      case kPatchRows:
        rows[i] = patches + i * s.patch_stride;
        CollectPatch(g, input, *padding, pixel + i, patches + i * s.patch_stride);
        break;
    }
  }
  for (size_t tap = 0; tap < s.gemm_taps; ++tap) {
    for (size_t i = count; i < mr; ++i) rows[tap * mr + i] = rows[tap * mr + count - 1];
  }
}

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
      CollectTile(s, input + group * g.GroupInputs(), padding, pixel, panel.count, s.mr, rows,
                  patches);
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
