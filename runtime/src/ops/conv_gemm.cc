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

// What a kernel is told of a panel; tiles fill in pixels and output.
template <typename T>
GemmRealTile<T> MakeTile(const GemmState<T>& s, const T* const* rows, const Panel& panel,
                         uint8_t* workspace) {
  GemmRealTile<T> tile = {};
  tile.rows = rows;
  tile.taps = s.rows.taps;
  tile.depth = s.rows.depth;
  tile.products = s.cut.packed_products;
  tile.weights = s.weights.data() + panel.slot * s.cut.packed_products;
  tile.bias = s.channels.bias.data() + panel.slot;
  tile.scratch = reinterpret_cast<T*>(workspace + s.scratch_offset);
  tile.columns = panel.columns;
  tile.lo = s.lo;
  tile.hi = s.hi;
  return tile;
}

GemmI8Tile MakeTile(const GemmState<int8_t>& s, const int8_t* const* rows, const Panel& panel,
                    uint8_t*) {
  GemmI8Tile tile = {};
  tile.rows = rows;
  tile.taps = s.rows.taps;
  tile.depth = s.rows.depth;
  tile.weights = s.weights.data() + panel.slot * s.cut.packed_products;
  tile.bias = s.channels.bias.data() + panel.slot;
  tile.multiplier = s.channels.multiplier.data() + panel.slot;
  tile.columns = panel.columns;
  tile.range = s.range;
  tile.lo = s.lo;
  tile.hi = s.hi;
  tile.shifted_sums = s.channels.shifted_sums;
  tile.small_results = s.channels.small_results;
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
bool SetResidual(const PreparedOp&, const RunContext&, const GemmState<T>&, size_t, BinaryI8Row*,
                 GemmRealTile<T>*) {
  return false;
}

bool SetResidual(const PreparedOp& op, const RunContext& run, const GemmState<int8_t>& s, size_t at,
                 BinaryI8Row* add, GemmI8Tile* tile) {
  if (!s.kernel->adds_residual || !s.residual.small || tile->columns < s.kernel->nr) return false;
  *add = s.residual.parameters;
  add->b = ReadData<int8_t>(*op.Input(2), run) + at;
  tile->add = add;
  return true;
}

// Of floats, see ops/long_sums.h.
void RunTile(const LongSums<int8_t>&, const GemmI8Kernel& kernel, const GemmI8Tile& tile,
             const int8_t**, uint8_t*) {
  kernel.run(tile);
}

template <typename T>
Panel MakePanel(const PreparedOp& op, const GemmState<T>& s, size_t group, size_t column) {
  const size_t width = s.cut.PanelColumns(), slots = s.cut.Slots(),
               columns = Min(width, s.geometry.GroupOutputs() - column);
  const size_t end = group * slots + Min(column + width, slots),
               read = end * s.cut.packed_products * sizeof(T);
  const uint8_t* weights = static_cast<const uint8_t*>(op.weights.data);
  const bool last = read == op.weights.bytes;
  return {columns, group * slots + column,
          last ? op.next_weights : Weights{weights + read, op.weights.bytes - read}};
}

}  // namespace

template <typename T>
void RunGemmConvolution(const PreparedOp& op, const RunContext& run) {
  const GemmState<T>& s = op.State<GemmState<T>>();
  const ConvGeometry& g = s.geometry;
  const T* input = s.Input(op, run);
  const DType dtype = op.Output().dtype;
  const size_t element_size = ElementSize(dtype);
  const size_t pixels = g.batch * g.out_h * g.out_w, tiles = CeilDiv(pixels, s.cut.mr);
  const size_t outputs = g.GroupOutputs(), panel_width = s.cut.PanelColumns(),
               panels = CeilDiv(outputs, panel_width);
  // Tiles of nearly equal size: 49 pixels are 7 tiles of 7, not 6 of 8 and one of 1.
  const size_t step = s.kernel->group_rows;
  const EvenSplit groups_of(CeilDiv(pixels, step), tiles);
  // Of the weights to come, each tile brings its share into the cache.
  const size_t share = CeilDiv(panel_width * s.cut.packed_products * sizeof(T), tiles);
  auto body = [&](size_t begin, size_t end, size_t thread) {
    const T** rows = reinterpret_cast<const T**>(run.Workspace(thread));
    T* patches = reinterpret_cast<T*>(rows + s.rows.taps * s.cut.mr);
    void* sums = run.Workspace(thread) + s.residual.tile_offset;  // before the residual
    while (begin < end) {
      // Pixels innermost: the tiles of one panel.
      const size_t first = begin % tiles, last = Min(tiles, first + (end - begin)),
                   column = begin / tiles % panels * panel_width, group = begin / tiles / panels;
      const Panel panel = MakePanel(op, s, group, column);
      auto tile = MakeTile(s, rows, panel, run.Workspace(thread));
      size_t pixel = groups_of.Begin(first) * step, prefetched = first * share;
      for (size_t index = first; index < last; ++index) {
        const size_t count = Min(groups_of.Size(index) * step, pixels - pixel),
                     at = pixel * g.out_c + group * outputs + column;
        CollectTile(s, input + group * g.GroupInputs(), pixel, count, rows, patches);
        tile.valid_rows = count;
        BinaryI8Row add;
        const bool add_after =
            s.residual.kernel != nullptr && !SetResidual(op, run, s, at, &add, &tile);
        tile.output_stride = add_after ? panel.columns : g.out_c;
        SetOutput(&tile,
                  add_after ? sums : WriteData<uint8_t>(op.Output(), run) + at * element_size,
                  dtype);
        const bool more = prefetched < panel.next.bytes;
        tile.next = more ? static_cast<const uint8_t*>(panel.next.data) + prefetched : nullptr;
        tile.next_bytes = more ? Min(share, panel.next.bytes - prefetched) : 0;
        RunTile(s.long_sums, *s.kernel, tile, rows, run.Workspace(thread));
        if (add_after) AddResidual(op, run, s, sums, at, count, panel.columns);
        pixel += count;
        prefetched += share;
      }
      begin += last - first;
    }
  };
  const size_t macs = s.cut.mr * panel_width * s.rows.taps * s.rows.depth;
  run.pool->ParallelFor(g.groups * panels * tiles, kGrainMacs / Max<size_t>(macs, 1) + 1, body);
}

template void RunGemmConvolution<float>(const PreparedOp&, const RunContext&);
template void RunGemmConvolution<Half>(const PreparedOp&, const RunContext&);
template void RunGemmConvolution<int8_t>(const PreparedOp&, const RunContext&);

}  // namespace ptq
