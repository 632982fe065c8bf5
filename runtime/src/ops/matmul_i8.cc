// Running a matmul on int8. With z_a and z_b the zero points,
//
//   sum((a - z_a) (b - z_b)) = sum((a - z_a) b) - z_b sum(a - z_a)
//
// The first sum is a gemm whose bias takes z_a, as that of a convolution does. The second one is a
// number for each row of a, which gemm kernels do not know: where z_b is not 0 they give parts of
// the first sum that float32 holds exactly, and the rest happens here.
#include <math.h>

#include "numerics/requantize.h"
#include "numerics/shifted_sum.h"
#include "ops/matmul_state.h"

namespace ptq {
namespace {

// A panel as it was packed: one after another its parts of kExactDepth products (all products where
// z_b is 0), each with `taps` taps: the second holds what a kernel cannot take in the first.
struct PackedPanel {
  size_t taps = 1;
};

struct Part {
  size_t begin, depth, packed_depth;
};

size_t PartDepth(const MatmulState& s) { return s.b_zero_point == 0 ? s.k : kExactDepth; }

// Calls f(part, its packed products, its biases).
template <typename F>
void ForParts(const MatmulState& s, const MatmulPanel& panel, const PackedPanel& packed,
              uint8_t* workspace, F f) {
  int8_t* products = reinterpret_cast<int8_t*>(workspace + s.packed_offset);
  int32_t* bias = reinterpret_cast<int32_t*>(workspace + s.bias_offset);
  const size_t columns = CeilDiv(panel.columns, s.nr) * s.nr;
  for (size_t begin = 0; begin < s.k; begin += PartDepth(s)) {
    const size_t depth = Min(PartDepth(s), s.k - begin);
    const Part part = {begin, depth, PackedGemmProducts(1, depth, s.i8->kd)};
    f(part, products, bias);
    products += packed.taps * part.packed_depth * columns;
    bias += columns;
  }
}

PackedPanel Pack(const MatmulState& s, const int8_t* b, const MatmulPanel& panel,
                 uint8_t* workspace) {
  const size_t blocks = CeilDiv(panel.columns, s.nr);
  const bool splits =
      s.i8->pairs_in_int16 && HoldsLeast(s.Piece(b, panel.column, panel.columns, 0, s.k));
  const PackedPanel packed = {splits ? size_t{2} : size_t{1}};
  ForParts(s, panel, packed, workspace, [&](const Part& part, int8_t* products, int32_t* bias) {
    const auto piece = s.Piece(b, panel.column, panel.columns, part.begin, part.depth);
    const size_t tap = part.packed_depth * s.nr, block = packed.taps * tap;
    PackMatrix(piece, s.nr, s.i8->kr, s.i8->kd, block, products);
    for (size_t i = 0; splits && i < blocks; ++i)
      SplitLeast(tap, products + i * block, products + i * block + tap);
    SumColumns(piece, bias);
    const int32_t factor = -(s.a_zero_point + s.i8->input_offset);
    for (size_t j = 0; j < panel.columns; ++j) {
      bias[j] *= factor;  // no larger than the sums, which fit
      if (s.shifted_sums) bias[j] = ShiftSum(bias[j]);
    }
    for (size_t j = panel.columns; j < blocks * s.nr; ++j) bias[j] = 0;
  });
  return packed;
}

// What is the same for all parts of a tile.
GemmI8Tile MakeTile(const MatmulState& s, const MatmulPanel& panel, const PackedPanel& packed,
                    const MatmulTile& at) {
  GemmI8Tile tile = {};
  tile.taps = packed.taps;
  tile.multiplier = s.multipliers.data();
  tile.valid_rows = at.count;
  tile.columns = panel.columns;
  tile.shifted_sums = s.shifted_sums;
  tile.small_results = s.small_results;
  return tile;
}

// -z_b sum(a - z_a) of a row.
int32_t RowSum(const MatmulState& s, const int8_t* row) {
  int32_t sum = 0;
  for (size_t i = 0; i < s.k; ++i) sum += row[i] - s.a_zero_point;
  return -s.b_zero_point * sum;
}

// [count][columns] int32 sums of a tile, at sums_offset.
int32_t* SumTile(const MatmulState& s, const MatmulPanel& panel, const PackedPanel& packed,
                 const MatmulTile& at, const int8_t** rows, uint8_t* workspace) {
  float* part_sums = reinterpret_cast<float*>(workspace + s.part_offset);
  int32_t* sums = reinterpret_cast<int32_t*>(workspace + s.sums_offset);
  for (size_t i = 0; i < at.count; ++i) {
    const int32_t of_row = RowSum(s, rows[i]);
    for (size_t j = 0; j < panel.columns; ++j) sums[i * panel.columns + j] = of_row;
  }
  GemmI8Tile tile = MakeTile(s, panel, packed, at);
  tile.rows = rows;
  tile.output_f32 = part_sums;
  tile.output_stride = panel.columns;
  tile.lo = -INFINITY;
  tile.hi = INFINITY;
  ForParts(s, panel, packed, workspace, [&](const Part& part, int8_t* products, int32_t* bias) {
    tile.depth = part.depth;
    tile.weights = products;
    tile.bias = bias;
    s.i8->run(tile);
    for (size_t i = 0; i < at.count * panel.columns; ++i)
      sums[i] += static_cast<int32_t>(part_sums[i]);
    for (size_t i = 0; i < packed.taps * s.mr; ++i) rows[i] += part.depth;
  });
  return sums;
}

}  // namespace

void RunMatmulI8(const PreparedOp& op, const RunContext& run) {
  const MatmulState& s = op.State<MatmulState>();
  const int8_t *a = FirstMatrices<int8_t>(op, run), *b = ReadData<int8_t>(*op.Input(1), run);
  const bool to_i8 = op.Output().dtype == kI8;
  uint8_t* y = WriteData<uint8_t>(op.Output(), run);
  const auto pack = [&](const MatmulPanel& panel, size_t thread) {
    return Pack(s, b + panel.b * s.k * s.n, panel, run.Workspace(thread));
  };
  const auto run_tile = [&](const PackedPanel& packed, const MatmulPanel& panel,
                            const MatmulTile& at, size_t thread) {
    uint8_t* workspace = run.Workspace(thread);
    const int8_t** rows = reinterpret_cast<const int8_t**>(workspace);
    for (size_t tap = 0; tap < packed.taps; ++tap)
      CollectRows(s, a + at.a * s.m * s.k, at, rows + tap * s.mr);
    const size_t first = (at.y * s.m + at.row) * s.n + panel.column;
    int8_t* y_i8 = reinterpret_cast<int8_t*>(y) + first;
    float* y_f32 = reinterpret_cast<float*>(y) + first;
    if (s.b_zero_point == 0) {
      GemmI8Tile tile = MakeTile(s, panel, packed, at);
      tile.rows = rows;
      tile.depth = s.k;
      tile.weights = reinterpret_cast<const int8_t*>(workspace + s.packed_offset);
      tile.bias = reinterpret_cast<const int32_t*>(workspace + s.bias_offset);
      tile.output_i8 = to_i8 ? y_i8 : nullptr;
      tile.output_f32 = to_i8 ? nullptr : y_f32;
      tile.range = s.range;
      tile.lo = s.lo;
      tile.hi = s.hi;
      tile.output_stride = s.n;
      return s.i8->run(tile);
    }
    const int32_t* sums = SumTile(s, panel, packed, at, rows, workspace);
    const float m = s.multiplier;
    for (size_t i = 0; i < at.count; ++i, sums += panel.columns, y_i8 += s.n, y_f32 += s.n) {
      if (to_i8) {
        for (size_t j = 0; j < panel.columns; ++j) y_i8[j] = Requantize(sums[j], m, s.range);
      } else {
        for (size_t j = 0; j < panel.columns; ++j)
          y_f32[j] = Clamp(static_cast<float>(sums[j]) * m, s.lo, s.hi);
      }
    }
  };
  ForMatmulTiles(s, run, pack, run_tile);
}

}  // namespace ptq
