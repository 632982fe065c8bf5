// 3x3 convolutions of floats by Winograd's F(2x2, 3x3) (kernels/winograd). A thread takes a block
// of tiles, small enough for its second-level cache: transform the windows, multiply, transform the
// sums.
#include <math.h>

#include "base/math.h"
#include "kernels/gemm/pack.h"
#include "kernels/winograd/pack.h"
#include "ops/conv_prepare.h"
#include "ops/conv_rows.h"
#include "ops/long_sums.h"

namespace ptq {
namespace {

// Transformed windows and sums of a block together, in bytes: in the second-level cache, beside the
// weights of two positions. More where that is less than kBlockTiles, as a block reads all weights.
constexpr size_t kBlockBytes = 1048576;
constexpr size_t kBlockTiles = 64;

// Channels of output whose sums are made and transformed together. A kernel that copies its rows
// does so once for them.
constexpr size_t kPanelColumns = 64, kPanelColumnsOfPackedRows = 128;

// Fewer channels on one side do not repay the transforms of the other.
constexpr size_t kLeastChannels = 16;

// Transformed weights are 16/9 of the weights. Those that do not stay in the cache are read for at
// least so many tiles, or the multiplications that are saved do not repay it.
constexpr size_t kLeastTiles = 32;

struct TileGrid {
  size_t rows, columns;  // of a picture

  explicit TileGrid(const ConvGeometry& g)
      : rows(CeilDiv(g.out_h, kWinogradOutputs)), columns(CeilDiv(g.out_w, kWinogradOutputs)) {}
  size_t Count(const ConvGeometry& g) const { return g.batch * rows * columns; }
};

// Floats from one position to the next, for `tiles` rows of `columns`. A line more than they take:
// the positions of a channel then lie in different sets of the first-level cache.
size_t PositionStride(size_t tiles, size_t columns) {
  return static_cast<size_t>(RoundUp(tiles * columns, kAlignment / sizeof(float))) +
         kAlignment / sizeof(float);
}

// The weights of a panel at a position, in elements. In memory: [panel][position][blocks].
struct WeightChunk {
  size_t begin, size;
};

WeightChunk Chunk(const GemmBlocks& cut, size_t panel, size_t position) {
  const size_t first = panel * cut.panel_blocks, blocks = Min(cut.panel_blocks, cut.blocks - first),
               size = blocks * cut.nr * cut.packed_products;
  return {first * cut.nr * cut.packed_products * kWinogradPositions + position * size, size};
}

ptq_status PackTransformedFilters(const Tensor& w, Pool* pool, WinogradState* state) {
  const ConvGeometry& g = state->geometry;
  const GemmBlocks& cut = state->cut;
  const size_t depth = g.in_c, nr = cut.nr;
  uint64_t slots = RoundUp(g.out_c, nr), size = 0;
  if (!Multiply(slots * kWinogradPositions, depth, &size) || size > SIZE_MAX / 8)
    return OutOfMemory();
  PTQ_RETURN_IF_ERROR(pool->Allocate(static_cast<size_t>(size), &state->weights));
  // A stretch of depth, so that the lines that are written stay in the cache for all nr outputs.
  constexpr size_t kStretch = 16;
  float transformed[kWinogradPositions][kStretch];
  const float* weights = static_cast<const float*>(w.data);
  for (size_t block = 0; block < cut.blocks; ++block) {
    const size_t begin = block * nr, end = Min(begin + nr, g.out_c),
                 panel = block / cut.panel_blocks, place = block % cut.panel_blocks;
    for (size_t k = 0; k < depth; k += kStretch) {
      const size_t count = Min(kStretch, depth - k);
      for (size_t j = begin; j < end; ++j) {
        TransformFilters(weights + j * 9 * depth + k, depth, count, kStretch, transformed[0]);
        for (size_t p = 0; p < kWinogradPositions; ++p) {
          float* packed = state->weights.data() + Chunk(cut, panel, p).begin;
          PackGemmRow<float, 1>(transformed[p], count, nr,
                                packed + (place * depth + k) * nr + j - begin);
        }
      }
    }
  }
  return PTQ_OK;
}

// The work of one thread on one block of tiles.
class Block {
 public:
  Block(const PreparedOp& op, const RunContext& run, size_t thread, size_t begin, size_t count,
        bool last)
      : op_(op),
        run_(run),
        s_(op.State<WinogradState>()),
        g_(s_.geometry),
        grid_(g_),
        begin_(begin),
        count_(count),
        last_(last),
        input_stride_(PositionStride(count_, g_.in_c)),
        workspace_(run.Workspace(thread)) {
    rows_ = reinterpret_cast<const float**>(workspace_);
    windows_ = reinterpret_cast<float*>(workspace_ + s_.windows_offset);
    sums_ = reinterpret_cast<float*>(workspace_ + s_.sums_offset);
    unused_ = reinterpret_cast<float*>(workspace_ + s_.unused_offset);
    scratch_ = reinterpret_cast<float*>(workspace_ + s_.scratch_offset);
    residual_ = reinterpret_cast<float*>(workspace_ + s_.residual.tile_offset);
  }

  void Run() {
    TransformWindows();
    for (size_t panel = 0; panel * s_.cut.panel_blocks < s_.cut.blocks; ++panel) {
      const size_t column = panel * s_.cut.PanelColumns(),
                   columns = Min(s_.cut.PanelColumns(), g_.out_c - column);
      for (size_t p = 0; p < kWinogradPositions; ++p) Multiply(panel, p, columns);
      TransformSums(column, columns);
    }
  }

 private:
  void TransformWindows() {
    const float* input = s_.Input(op_, run_);
    const float* pixels[kWinogradPositions];
    for (size_t i = 0; i < count_; ++i) {
      const Place place(*this, i);
      const float* picture = input + place.picture * g_.in_h * g_.in_w * g_.in_c;
      for (size_t y = 0; y < kWinogradWindow; ++y) {
        // Negative in the padding, which as size_t is beyond the picture as well.
        const size_t in_y = place.y + y - g_.h.pad_begin;
        for (size_t x = 0; x < kWinogradWindow; ++x) {
          const size_t in_x = place.x + x - g_.w.pad_begin;
          pixels[y * kWinogradWindow + x] = in_y < g_.in_h && in_x < g_.in_w
                                                ? picture + (in_y * g_.in_w + in_x) * g_.in_c
                                                : s_.padding.data();
        }
      }
      s_.kernel->transform_input({pixels, g_.in_c, windows_ + i * g_.in_c, input_stride_});
    }
  }

  // The sums of all tiles at one position.
  void Multiply(size_t panel, size_t position, size_t columns) {
    const GemmF32Kernel& kernel = *s_.gemm;
    const WeightChunk chunk = Chunk(s_.cut, panel, position);
    GemmF32Tile tile = {};
    tile.rows = rows_;
    tile.taps = 1;
    tile.depth = tile.products = g_.in_c;
    tile.weights = s_.weights.data() + chunk.begin;
    tile.bias = s_.long_sums.zeros.data();
    tile.columns = tile.output_stride = columns;
    tile.lo = -INFINITY;
    tile.hi = INFINITY;
    tile.scratch = scratch_;
    const Weights next = Following(chunk);
    const float* window = windows_ + position * input_stride_;
    float* sums = sums_ + position * PositionStride(count_, columns);
    const size_t tiles = CeilDiv(count_, kernel.mr),
                 share = CeilDiv(chunk.size * sizeof(float), tiles);
    const EvenSplit groups_of(CeilDiv(count_, kernel.group_rows), tiles);
    for (size_t i = 0, row = 0; i < tiles; ++i) {
      const size_t count = Min(groups_of.Size(i) * kernel.group_rows, count_ - row);
      for (size_t j = 0; j < kernel.mr; ++j)
        rows_[j] = window + (row + Min(j, count - 1)) * g_.in_c;
      tile.valid_rows = count;
      tile.output = sums + row * columns;
      const bool more = i * share < next.bytes;
      tile.next = more ? static_cast<const uint8_t*>(next.data) + i * share : nullptr;
      tile.next_bytes = more ? Min(share, next.bytes - i * share) : 0;
      RunTile(s_.long_sums, kernel, tile, rows_, workspace_);
      row += count;
    }
  }

  // What is read after a chunk.
  Weights Following(const WeightChunk& chunk) const {
    const size_t read = (chunk.begin + chunk.size) * sizeof(float);
    const uint8_t* weights = static_cast<const uint8_t*>(op_.weights.data);
    if (read < op_.weights.bytes) return {weights + read, op_.weights.bytes - read};
    return last_ ? op_.next_weights : op_.weights;
  }

  void TransformSums(size_t column, size_t columns) {
    float* output = WriteData<float>(op_.Output(), run_);
    const bool adds = s_.residual.kernel != nullptr;
    WinogradOutput tile = {};
    tile.position_stride = PositionStride(count_, columns);
    tile.channels = columns;
    tile.bias = s_.channels.bias.data() + column;
    tile.lo = s_.lo;
    tile.hi = s_.hi;
    for (size_t i = 0; i < count_; ++i) {
      const Place place(*this, i);
      const size_t height = Min(kWinogradOutputs, g_.out_h - place.y),
                   width = Min(kWinogradOutputs, g_.out_w - place.x),
                   at = ((place.picture * g_.out_h + place.y) * g_.out_w + place.x) * g_.out_c +
                        column,
                   line = g_.out_w * g_.out_c;
      for (size_t y = 0; y < kWinogradOutputs; ++y) {
        for (size_t x = 0; x < kWinogradOutputs; ++x) {
          tile.pixels[y][x] = y >= height || x >= width ? unused_
                              : adds ? residual_ + (y * kWinogradOutputs + x) * columns
                                     : output + at + y * line + x * g_.out_c;
        }
      }
      tile.sums = sums_ + i * columns;
      s_.kernel->transform_output(tile);
      for (size_t y = 0; adds && y < height; ++y)
        AddResidual(op_, run_, s_, tile.pixels[y][0], at + y * line, width, columns);
    }
  }

  // Of a tile's first pixel in the output.
  struct Place {
    size_t picture, y, x;

    Place(const Block& block, size_t i) {
      const size_t index = block.begin_ + i, line = index / block.grid_.columns;
      x = index % block.grid_.columns * kWinogradOutputs;
      y = line % block.grid_.rows * kWinogradOutputs;
      picture = line / block.grid_.rows;
    }
  };

  const PreparedOp& op_;
  const RunContext& run_;
  const WinogradState& s_;
  const ConvGeometry& g_;
  const TileGrid grid_;
  const size_t begin_, count_;
  const bool last_;  // the operator's weights are not read again
  const size_t input_stride_;
  uint8_t* const workspace_;
  const float** rows_;
  float *windows_, *sums_, *unused_, *scratch_, *residual_;
};

void RunWinogradConvolution(const PreparedOp& op, const RunContext& run) {
  const WinogradState& s = op.State<WinogradState>();
  const size_t tiles = TileGrid(s.geometry).Count(s.geometry);
  // As many blocks for each thread, unless tiles of the gemm would not be full; of nearly equal
  // size.
  const size_t blocks =
      Min(static_cast<size_t>(RoundUp(CeilDiv(tiles, s.tiles), run.pool->thread_count())),
          CeilDiv(tiles, s.cut.mr));
  const EvenSplit tiles_of(tiles, blocks);
  auto body = [&](size_t begin, size_t end, size_t thread) {
    for (size_t i = begin; i < end; ++i) {
      Block(op, run, thread, tiles_of.Begin(i), tiles_of.Size(i), i + 1 == blocks).Run();
    }
  };
  run.pool->ParallelFor(blocks, 1, body);
}

}  // namespace

bool SuitsWinograd(const ConvGeometry& g) {
  const auto three_by_one = [](const Window& w) {
    return w.kernel == 3 && w.stride == 1 && w.dilation == 1;
  };
  return three_by_one(g.h) && three_by_one(g.w) && g.groups == 1 && g.in_c >= kLeastChannels &&
         g.out_c >= kLeastChannels &&
         (TileGrid(g).Count(g) >= kLeastTiles ||
          g.in_c * g.out_c <= kBlockBytes / (kWinogradPositions * sizeof(float)));
}

ptq_status PrepareWinograd(uint32_t features, const Convolution& conv, PreparedOp* op) {
  auto* state = MakeConvState<WinogradState>(conv, op);
  if (state == nullptr) return OutOfMemory();
  const ConvGeometry& g = conv.geometry;
  state->kernel = SelectKernel(kWinogradKernels, features);
  const GemmF32Kernel& gemm = *SelectKernel(kGemmF32Kernels, features);
  state->gemm = &gemm;
  GemmBlocks& cut = state->cut;
  cut = {gemm.mr, gemm.nr, CeilDiv(g.out_c, gemm.nr), 0, g.in_c};
  const size_t panel = gemm.packs_rows ? kPanelColumnsOfPackedRows : kPanelColumns;
  cut.panel_blocks = Min(CeilDiv(panel, cut.nr), cut.blocks);
  PTQ_RETURN_IF_ERROR(PackTransformedFilters(conv.w, op->pool, state));
  const ChannelSlots slots = {1, g.out_c, cut.Slots()};
  PTQ_RETURN_IF_ERROR(PrepareChannels(conv, slots, gemm, &state->channels));
  const size_t columns = cut.PanelColumns();
  const size_t row_bytes = kWinogradPositions * (g.in_c + columns) * sizeof(float);
  state->tiles = Min(Max(kBlockBytes / row_bytes, kBlockTiles), TileGrid(g).Count(g));
  op->TakeWorkspace(cut.mr * sizeof(void*));
  const auto take = [op](uint64_t floats) {
    return op->TakeWorkspace(floats * sizeof(float) + kReadSlack);
  };
  state->windows_offset = take(kWinogradPositions * PositionStride(state->tiles, g.in_c));
  state->sums_offset = take(kWinogradPositions * PositionStride(state->tiles, columns));
  state->unused_offset = take(columns);
  state->scratch_offset = take(gemm.ScratchElements(ProductsAtATime(g.in_c)));
  PTQ_RETURN_IF_ERROR(PrepareLongSums(features, cut, op, &state->long_sums));
  op->weights = {state->weights.data(), state->weights.size() * sizeof(float)};
  op->kernel = state->kernel->name;
  op->macs = uint64_t{TileGrid(g).Count(g)} * kWinogradPositions * g.in_c * g.out_c;
  op->run = RunWinogradConvolution;
  PTQ_RETURN_IF_ERROR(PrepareInput(conv.x, g.in_c, state));
  const size_t pixels = kWinogradOutputs * kWinogradOutputs;
  return PrepareResidual(features, conv, pixels * columns, op, &state->residual);
}

}  // namespace ptq
