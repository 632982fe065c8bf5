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
  if (s.rows == kPointwiseRows) return s.geometry.in_c;
  return s.rows == kPatchRows ? s.patch_stride : 0;
}

// A tile of a panel: `count` pixels, `columns` channels of a group.
struct Tile {
  size_t count, columns;
  size_t slot;  // of its first channel in the padded per-channel arrays
  void* output;
  size_t output_stride;
  Weights next;  // to bring into the cache
};

void RunTile(const PreparedOp& op, const float* const* rows, const Tile& tile) {
  const ConvState& s = op.State<ConvState>();
  s.gemm_f32->run({rows, RowStep(s), s.gemm_taps, s.gemm_depth,
                   s.weights_f32.data() + tile.slot * s.packed_products,
                   s.bias_f32.data() + tile.slot, tile.count, tile.columns,
                   static_cast<float*>(tile.output), tile.output_stride, s.lo, s.hi, tile.next.data,
                   tile.next.bytes});
}

void RunTile(const PreparedOp& op, const int8_t* const* rows, const Tile& tile) {
  const ConvState& s = op.State<ConvState>();
  const bool float_output = op.Output().dtype == kF32;
  s.gemm_i8->run({rows, RowStep(s), s.gemm_taps, s.gemm_depth,
                  s.weights_i8.data() + tile.slot * s.packed_products,
                  s.bias_i32.data() + tile.slot, s.multiplier.data() + tile.slot, tile.count,
                  tile.columns, float_output ? nullptr : static_cast<int8_t*>(tile.output), s.range,
                  float_output ? static_cast<float*>(tile.output) : nullptr, s.lo, s.hi,
                  tile.output_stride, tile.next.data, tile.next.bytes, s.shifted_sums});
}

// The share of tile `index` in bringing the weights behind `slot` into the cache: they are the next
// panel's, or behind the last panel the next operator's.
Weights NextWeights(const PreparedOp& op, size_t slot, size_t share, size_t index) {
  const ConvState& s = op.State<ConvState>();
  const size_t done = slot * s.packed_products * ElementSize(op.Input(1)->dtype),
               left = op.weights.bytes - done;
  const uint8_t* here = static_cast<const uint8_t*>(op.weights.data) + done;
  const Weights all = left != 0 ? Weights{here, left} : op.next_weights;
  const size_t begin = Min(share * index, all.bytes);
  return {static_cast<const uint8_t*>(all.data) + begin, Min(share, all.bytes - begin)};
}

template <typename T>
void RunGemm(const PreparedOp& op, const RunContext& run, const T* input, const T* padding) {
  const ConvState& s = op.State<ConvState>();
  const ConvGeometry& g = s.geometry;
  const size_t pixels = g.batch * g.out_h * g.out_w, tiles = CeilDiv(pixels, s.mr);
  const size_t outputs = g.GroupOutputs(), panel_width = s.panel_blocks * s.nr,
               panels = CeilDiv(outputs, panel_width);
  // Tiles of nearly equal size: 49 pixels are 7 tiles of 7, not 6 of 8 and one of 1.
  const size_t least = pixels / tiles, larger = pixels % tiles;
  const size_t share = CeilDiv(panel_width * s.packed_products * sizeof(T), tiles);
  uint8_t* output = WriteData<uint8_t>(op.Output(), run);
  const size_t element_size = ElementSize(op.Output().dtype);
  // Pixels innermost: a panel's weights stay in the cache while the input streams past them.
  auto body = [&](size_t begin, size_t end, size_t thread) {
    const T** rows = reinterpret_cast<const T**>(run.Workspace(thread));
    T* patches = reinterpret_cast<T*>(rows + s.gemm_taps * s.mr);
    size_t index = begin % tiles, panel = begin / tiles % panels, group = begin / tiles / panels;
    for (size_t item = begin; item < end; ++item) {
      const size_t pixel = index * least + Min(index, larger), column = panel * panel_width,
                   at = pixel * g.out_c + group * outputs + column,
                   slot = group * s.blocks * s.nr + column;
      Tile tile = {least + (index < larger ? 1 : 0),
                   Min(panel_width, outputs - column),
                   slot,
                   output + at * element_size,
                   g.out_c,
                   {}};
      const size_t next_slot = Min(slot + panel_width, (group + 1) * s.blocks * s.nr);
      tile.next = NextWeights(op, next_slot, share, index);
      if (s.residual.Present()) {
        tile.output = run.Workspace(thread) + s.tile_offset;
        tile.output_stride = tile.columns;
      }
      CollectTile(s, input + group * g.GroupInputs(), padding, pixel, tile.count, rows, patches);
      RunTile(op, rows, tile);
      if (s.residual.Present()) AddResidual(op, run, tile.output, at, tile.count, tile.columns);
      if (++index < tiles) continue;
      index = 0;
      if (++panel < panels) continue;
      panel = 0;
      ++group;
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
