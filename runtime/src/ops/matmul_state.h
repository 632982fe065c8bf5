// A matmul after preparation. The second matrix is computed, so it is packed by the thread that is
// about to use it: a panel of columns, which then meets the rows of the first.
#ifndef PTQ_OPS_MATMUL_STATE_H_
#define PTQ_OPS_MATMUL_STATE_H_

#include "kernels/elementwise/contract.h"
#include "kernels/gemm/contract.h"
#include "ops/broadcast.h"
#include "ops/conv_state.h"
#include "ops/matmul_pack.h"

namespace ptq {

struct MatmulState {
  BroadcastPlan batches;  // which matrices meet; strides count matrices
  size_t count;           // pairs of them
  size_t m, k, n;
  bool transpose_b;
  // One of the three is set.
  const GemmF32Kernel* f32;
  const GemmF16Kernel* f16;
  const GemmI8Kernel* i8;
  size_t mr, nr, group_rows;  // the kernel's
  size_t panel_blocks;        // of nr columns, at most
  size_t depth;               // products that are packed at a time, at most
  size_t packed_depth;        // of these
  // In a thread's workspace, bytes: the packed panel, the kernel's scratch, a part of a tile's
  // sums, int32 sums of a tile, int32 biases of a panel.
  size_t packed_offset, scratch_offset, part_offset, sums_offset, bias_offset;
  float lo, hi;
  LongSums<float> f32_sums;  // their zeros are also the bias of a panel
  LongSums<Half> f16_sums;
  Array<uint8_t> a_copy;  // of a constant a, which has no kReadSlack in the file; else empty
  // i8
  int32_t a_zero_point, b_zero_point;
  float multiplier;
  Array<float> multipliers;  // of a panel: those of the kernel's output
  OutputRange range;
  bool shifted_sums, small_results;

  size_t PanelColumns() const { return panel_blocks * nr; }

  // Columns [column, column + columns) of matrix `b`, and its products [k, k + depth).
  template <typename T>
  MatrixPiece<T> Piece(const T* b, size_t column, size_t columns, size_t k_begin,
                       size_t depth) const {
    const size_t k_stride = transpose_b ? 1 : n, column_stride = transpose_b ? k : 1;
    return {b + k_begin * k_stride + column * column_stride, k_stride, column_stride, depth,
            columns};
  }
};

// i8 with a zero point of b: products of a part, whose sums a float holds exactly,
// 512 * 255 * 128 < 2^24. A multiple of every kernel's kd.
constexpr size_t kExactDepth = 512;

void RunMatmulReal(const PreparedOp& op, const RunContext& run);
void RunMatmulI8(const PreparedOp& op, const RunContext& run);

// Columns [column, column + columns) of b's matrix `b`, of which products [k, k + depth) are taken.
struct MatmulPanel {
  size_t b, column, columns, k, depth;
};

// Rows [row, row + count) of a's matrix `a` by a panel make those of y's matrix `y`.
struct MatmulTile {
  size_t a, y, row, count;
};

// Calls run_tile(packed, panel, tile, thread) for all tiles of y and pieces of their products, in
// order, on all threads; packed is what pack(panel, thread) gave. Which tiles and pieces there are
// does not depend on the number of threads.
template <typename Pack, typename RunTile>
void ForMatmulTiles(const MatmulState& s, const RunContext& run, Pack pack, RunTile run_tile) {
  // Less than this on a thread is not worth waking it, in multiply-accumulates.
  constexpr uint64_t kGrainMacs = 32768;
  // A panel is packed once more for the rows of another thread, if each has so many tiles of them.
  constexpr size_t kTilesPerPacking = 8;
  const size_t blocks = CeilDiv(s.n, s.nr), panels = CeilDiv(blocks, s.panel_blocks),
               tiles = CeilDiv(s.m, s.mr), threads = run.pool->thread_count();
  const size_t most_chunks = Max<size_t>(tiles / kTilesPerPacking, 1),
               chunks = threads == 1 ? 1 : Min(CeilDiv(2 * threads, s.count * panels), most_chunks);
  const EvenSplit blocks_of(blocks, panels), tiles_of(tiles, chunks),
      groups_of(CeilDiv(s.m, s.group_rows), tiles);
  auto body = [&](size_t begin, size_t end, size_t thread) {
    MatmulPanel panel = {};
    decltype(pack(panel, thread)) packed = {};
    for (size_t i = begin; i < end; ++i) {
      const size_t chunk = i % chunks, part = i / chunks % panels;
      MatmulTile tile = {0, i / chunks / panels, 0, 0};
      size_t b = 0, rest = tile.y;
      for (uint32_t axis = s.batches.rank; axis-- > 0; rest /= s.batches.dims[axis]) {
        tile.a += rest % s.batches.dims[axis] * s.batches.a_strides[axis];
        b += rest % s.batches.dims[axis] * s.batches.b_strides[axis];
      }
      const size_t column = blocks_of.Begin(part) * s.nr,
                   columns = Min(blocks_of.Size(part) * s.nr, s.n - column),
                   last = tiles_of.Begin(chunk) + tiles_of.Size(chunk);
      for (size_t k = 0; k < s.k; k += s.depth) {
        if (panel.columns == 0 || b != panel.b || column != panel.column || k != panel.k) {
          panel = {b, column, columns, k, Min(s.depth, s.k - k)};
          packed = pack(panel, thread);
        }
        for (size_t t = tiles_of.Begin(chunk); t < last; ++t) {
          tile.row = groups_of.Begin(t) * s.group_rows;
          tile.count = Min(groups_of.Size(t) * s.group_rows, s.m - tile.row);
          run_tile(packed, panel, tile, thread);
        }
      }
    }
  };
  const uint64_t macs = uint64_t{CeilDiv(tiles, chunks)} * s.mr * s.PanelColumns() * s.k;
  run.pool->ParallelFor(s.count * panels * chunks, static_cast<size_t>(kGrainMacs / macs) + 1,
                        body);
}

// rows[0 ... mr): those of a tile in matrix `a`; the last one repeats.
template <typename T>
void CollectRows(const MatmulState& s, const T* a, const MatmulTile& tile, const T** rows) {
  for (size_t i = 0; i < s.mr; ++i) rows[i] = a + (tile.row + Min(i, tile.count - 1)) * s.k;
}

template <typename T>
const T* FirstMatrices(const PreparedOp& op, const RunContext& run) {
  const Array<uint8_t>& copy = op.State<MatmulState>().a_copy;
  return copy.size() != 0 ? reinterpret_cast<const T*>(copy.data())
                          : ReadData<T>(*op.Input(0), run);
}

}  // namespace ptq

#endif  // PTQ_OPS_MATMUL_STATE_H_
