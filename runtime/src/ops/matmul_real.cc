// Running a matmul in float32 or half precision.
#include "ops/long_sums.h"
#include "ops/matmul_state.h"

namespace ptq {
namespace {

struct Nothing {};  // a packed panel of floats needs no words

template <typename T>
void RunReal(const PreparedOp& op, const RunContext& run, const GemmRealKernel<T>& kernel,
             const LongSums<T>& sums) {
  const MatmulState& s = op.State<MatmulState>();
  const T *a = FirstMatrices<T>(op, run), *b = ReadData<T>(*op.Input(1), run);
  T* y = WriteData<T>(op.Output(), run);
  const auto pack = [&](const MatmulPanel& panel, size_t thread) {
    T* packed = reinterpret_cast<T*>(run.Workspace(thread) + s.packed_offset);
    PackMatrix(s.Piece(b + panel.b * s.k * s.n, panel.column, panel.columns, panel.k, panel.depth),
               s.nr, 1, 1, panel.depth * s.nr, packed);
    return Nothing{};
  };
  const auto run_tile = [&](Nothing, const MatmulPanel& panel, const MatmulTile& at,
                            size_t thread) {
    uint8_t* workspace = run.Workspace(thread);
    const T** rows = reinterpret_cast<const T**>(workspace);
    CollectRows(s, a + at.a * s.m * s.k + panel.k, at, rows);
    GemmRealTile<T> whole = {};
    whole.products = s.k;
    whole.bias = sums.zeros.data();
    whole.scratch = reinterpret_cast<T*>(workspace + s.scratch_offset);
    whole.valid_rows = at.count;
    whole.columns = panel.columns;
    whole.output = y + (at.y * s.m + at.row) * s.n + panel.column;
    whole.output_stride = s.n;
    whole.lo = s.lo;
    whole.hi = s.hi;
    GemmRealTile<T> tile = whole;  // of these products
    tile.rows = rows;
    tile.taps = 1;
    tile.depth = tile.products = panel.depth;
    tile.weights = reinterpret_cast<const T*>(workspace + s.packed_offset);
    if (sums.add == nullptr) return kernel.run(tile);
    RunPiece(MakeLongSum(sums, kernel, workspace), whole, panel.k, tile);
  };
  ForMatmulTiles(s, run, pack, run_tile);
}

}  // namespace

void RunMatmulReal(const PreparedOp& op, const RunContext& run) {
  const MatmulState& s = op.State<MatmulState>();
  if (s.f16 != nullptr) return RunReal(op, run, *s.f16, s.f16_sums);
  RunReal(op, run, *s.f32, s.f32_sums);
}

}  // namespace ptq
