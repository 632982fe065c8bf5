// Running a matmul in float32 or half precision.
#include "ops/long_sums.h"
#include "ops/matmul_state.h"

namespace ptq {
namespace {

struct Nothing {};  // a packed panel of floats needs no words

void RunKernel(const MatmulState& s, const GemmF32Kernel& kernel, const GemmF32Tile& tile,
               const float** rows, uint8_t* workspace) {
  if (s.add_pieces == nullptr) return kernel.run(tile);
  RunLongSum({&kernel, s.add_pieces, reinterpret_cast<const float*>(s.zeros.data()),
              reinterpret_cast<float*>(workspace + s.part_offset)},
             tile, rows);
}

void RunKernel(const MatmulState&, const GemmF16Kernel& kernel, const GemmF16Tile& tile,
               const Half**, uint8_t*) {
  kernel.run(tile);
}

template <typename T>
void RunReal(const PreparedOp& op, const RunContext& run, const GemmRealKernel<T>& kernel) {
  const MatmulState& s = op.State<MatmulState>();
  const T *a = FirstMatrices<T>(op, run), *b = ReadData<T>(*op.Input(1), run);
  T* y = WriteData<T>(op.Output(), run);
  const auto pack = [&](const MatmulPanel& panel, size_t thread) {
    T* packed = reinterpret_cast<T*>(run.Workspace(thread) + s.packed_offset);
    PackMatrix(s.Piece(b + panel.b * s.k * s.n, panel.column, panel.columns, 0, s.k), s.nr, 1, 1,
               s.k * s.nr, packed);
    return Nothing{};
  };
  const auto run_tile = [&](Nothing, const MatmulPanel& panel, const MatmulTile& at,
                            size_t thread) {
    uint8_t* workspace = run.Workspace(thread);
    const T** rows = reinterpret_cast<const T**>(workspace);
    CollectRows(s, a + at.a * s.m * s.k, at, rows);
    GemmRealTile<T> tile = {};
    tile.rows = rows;
    tile.taps = 1;
    tile.depth = tile.products = s.k;
    tile.weights = reinterpret_cast<const T*>(workspace + s.packed_offset);
    tile.bias = reinterpret_cast<const T*>(s.zeros.data());
    tile.scratch = reinterpret_cast<T*>(workspace + s.scratch_offset);
    tile.valid_rows = at.count;
    tile.columns = panel.columns;
    tile.output = y + (at.y * s.m + at.row) * s.n + panel.column;
    tile.output_stride = s.n;
    tile.lo = s.lo;
    tile.hi = s.hi;
    RunKernel(s, kernel, tile, rows, workspace);
  };
  ForMatmulTiles(s, run, pack, run_tile);
}

}  // namespace

void RunMatmulReal(const PreparedOp& op, const RunContext& run) {
  const MatmulState& s = op.State<MatmulState>();
  if (s.f16 != nullptr) return RunReal(op, run, *s.f16);
  RunReal(op, run, *s.f32);
}

}  // namespace ptq
