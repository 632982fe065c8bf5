// Running a convolution as an indirect gemm: cut the output into tiles of pixels and panels of
// channels, and call the kernel for each.
#include "base/math.h"
#include "ops/conv_rows.h"
#include "ops/conv_state.h"
#include "ops/long_sums.h"

namespace ptq {
namespace {

// Less than this on a thread is not worth waking it, in multiply-accumulates.
constexpr size_t kGrainMacs = 32768;

// Channels whose weights stay in the cache while all pixels stream past them.
struct Panel {
  size_t columns;
  size_t slot;   // of its first channel in the padded per-channel arrays
  Weights next;  // what is read after it: the next panel's weights, or the next operator's
};

template <typename T>
GemmRealTile<T> MakeRealTile(const ConvState& s, const T* const* rows, const Panel& panel,
                             const T* weights, const T* bias, uint8_t* workspace) {
  GemmRealTile<T> tile = {};
  tile.rows = rows;
  tile.taps = s.gemm_taps;
  tile.depth = s.gemm_depth;
  tile.products = s.packed_products;
  tile.weights = weights + panel.slot * s.packed_products;
  tile.bias = bias + panel.slot;
  tile.scratch = reinterpret_cast<T*>(workspace + s.scratch_offset);
  tile.columns = panel.columns;
  tile.lo = s.lo;
  tile.hi = s.hi;
  return tile;
}

// What a kernel is told of a panel; tiles fill in pixels and output.
GemmF32Tile MakeTile(const PreparedOp& op, const float* const* rows, const Panel& panel,
                     uint8_t* workspace) {
  const ConvState& s = op.State<ConvState>();
  return MakeRealTile(s, rows, panel, s.weights_f32.data(), s.bias_f32.data(), workspace);
}

GemmF16Tile MakeTile(const PreparedOp& op, const Half* const* rows, const Panel& panel,
                     uint8_t* workspace) {
  const ConvState& s = op.State<ConvState>();
  return MakeRealTile(s, rows, panel, s.weights_f16.data(), s.bias_f16.data(), workspace);
}

GemmI8Tile MakeTile(const PreparedOp& op, const int8_t* const* rows, const Panel& panel, uint8_t*) {
  const ConvState& s = op.State<ConvState>();
  GemmI8Tile tile = {};
  tile.rows = rows;
  tile.taps = s.gemm_taps;
  tile.depth = s.gemm_depth;
  tile.weights = s.weights_i8.data() + panel.slot * s.packed_products;
  tile.bias = s.bias_i32.data() + panel.slot;
  tile.multiplier = s.multiplier.data() + panel.slot;
  tile.columns = panel.columns;
  tile.range = s.range;
  tile.lo = s.lo;
  tile.hi = s.hi;
  tile.shifted_sums = s.shifted_sums;
  tile.small_results = s.small_results;
  return tile;
}

template <typename T>
void SetOutput(GemmRealTile<T>* tile, void* output, DType) {
  tile->output = static_cast<T*>(output);
}

void SetOutput(GemmI8Tile* tile, void* output, DType dtype) {
  if (dtype == kI8) {
    tile->output_i8 = static_cast<int8_t*>(output);
  } else {
    tile->output_f32 = static_cast<float*>(output);
  }
}

// Lets a kernel that can add the residual itself, which begins at element `at`; false if it cannot.
template <typename T>
bool SetResidual(const PreparedOp&, const RunContext&, const GemmRealKernel<T>&, size_t,
                 BinaryI8Row*, GemmRealTile<T>*) {
  return false;
}

bool SetResidual(const PreparedOp& op, const RunContext& run, const GemmI8Kernel& kernel, size_t at,
                 BinaryI8Row* add, GemmI8Tile* tile) {
  const Residual& residual = op.State<ConvState>().residual;
  if (!kernel.adds_residual || !residual.small || tile->columns < kernel.nr) return false;
  *add = residual.i8_parameters;
  add->b = ReadData<int8_t>(*op.Input(2), run) + at;
  tile->add = add;
  return true;
}

// Of float32, see ops/long_sums.h.
template <typename T, typename Kernel, typename Tile>
void RunTile(const ConvState&, const Kernel& kernel, const Tile& tile, const T**, uint8_t*) {
  kernel.run(tile);
}

Panel MakePanel(const PreparedOp& op, size_t group, size_t column) {
  const ConvState& s = op.State<ConvState>();
  const size_t width = s.panel_blocks * s.nr, slots = s.blocks * s.nr,
               columns = Min(width, s.geometry.GroupOutputs() - column);
  const size_t end = group * slots + Min(column + width, slots),
               read = end * s.packed_products * ElementSize(op.Input(0)->dtype);
  const uint8_t* weights = static_cast<const uint8_t*>(op.weights.data);
  const bool last = read == op.weights.bytes;
  return {columns, group * slots + column,
          last ? op.next_weights : Weights{weights + read, op.weights.bytes - read}};
}

template <typename T, typename Kernel>
void RunGemm(const PreparedOp& op, const RunContext& run, const Kernel& kernel, const T* input,
             const T* padding) {
  const ConvState& s = op.State<ConvState>();
  const ConvGeometry& g = s.geometry;
  const DType dtype = op.Output().dtype;
  const size_t element_size = ElementSize(dtype);
  const size_t pixels = g.batch * g.out_h * g.out_w, tiles = CeilDiv(pixels, s.mr);
  const size_t outputs = g.GroupOutputs(), panel_width = s.panel_blocks * s.nr,
               panels = CeilDiv(outputs, panel_width);
  // Tiles of nearly equal size: 49 pixels are 7 tiles of 7, not 6 of 8 and one of 1.
  const size_t step = kernel.group_rows;
  const EvenSplit groups_of(CeilDiv(pixels, step), tiles);
  // Of the weights to come, each tile brings its share into the cache.
  const size_t share = CeilDiv(panel_width * s.packed_products * sizeof(T), tiles);
  auto body = [&](size_t begin, size_t end, size_t thread) {
    const T** rows = reinterpret_cast<const T**>(run.Workspace(thread));
    T* patches = reinterpret_cast<T*>(rows + s.gemm_taps * s.mr);
    void* sums = run.Workspace(thread) + s.tile_offset;  // of conv2d_add
    while (begin < end) {
      // Pixels innermost: the tiles of one panel.
      const size_t first = begin % tiles, last = Min(tiles, first + (end - begin)),
                   column = begin / tiles % panels * panel_width, group = begin / tiles / panels;
      const Panel panel = MakePanel(op, group, column);
      auto tile = MakeTile(op, rows, panel, run.Workspace(thread));
      size_t pixel = groups_of.Begin(first) * step, prefetched = first * share;
      for (size_t index = first; index < last; ++index) {
        const size_t count = Min(groups_of.Size(index) * step, pixels - pixel),
                     at = pixel * g.out_c + group * outputs + column;
        CollectTile(s, input + group * g.GroupInputs(), padding, pixel, count, rows, patches);
        tile.valid_rows = count;
        BinaryI8Row add;
        const bool add_after =
            s.residual.Present() && !SetResidual(op, run, kernel, at, &add, &tile);
        tile.output_stride = add_after ? panel.columns : g.out_c;
        SetOutput(&tile,
                  add_after ? sums : WriteData<uint8_t>(op.Output(), run) + at * element_size,
                  dtype);
        const bool more = prefetched < panel.next.bytes;
        tile.next = more ? static_cast<const uint8_t*>(panel.next.data) + prefetched : nullptr;
        tile.next_bytes = more ? Min(share, panel.next.bytes - prefetched) : 0;
        RunTile(s, kernel, tile, rows, run.Workspace(thread));
        if (add_after) AddResidual(op, run, sums, at, count, panel.columns);
        pixel += count;
        prefetched += share;
      }
      begin += last - first;
    }
  };
  const size_t macs = s.mr * panel_width * s.gemm_taps * s.gemm_depth;
  run.pool->ParallelFor(g.groups * panels * tiles, kGrainMacs / Max<size_t>(macs, 1) + 1, body);
}

}  // namespace

void RunGemmConvolution(const PreparedOp& op, const RunContext& run) {
  const ConvState& s = op.State<ConvState>();
  if (s.gemm_i8 != nullptr) {
    RunGemm(op, run, *s.gemm_i8, InputData<int8_t>(op, run, s.input_i8), s.padding_i8.data());
  } else if (s.gemm_f16 != nullptr) {
    RunGemm(op, run, *s.gemm_f16, InputData<Half>(op, run, s.input_f16), s.padding_f16.data());
  } else {
    RunGemm(op, run, *s.gemm_f32, InputData<float>(op, run, s.input_f32), s.padding_f32.data());
  }
}

}  // namespace ptq
