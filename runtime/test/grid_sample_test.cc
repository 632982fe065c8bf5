// grid_sample through the whole runtime against plain loops over every pixel of the picture, by the
// formulas of docs/numerics.md, "Grid sample", and what it refuses.
#include <math.h>

#include "test/support/one_op.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

// p of the page.
double PositionOf(float n, uint32_t size, bool aligned) {
  const float s = static_cast<float>(size);
  const float p = aligned ? (n + 1.0f) / 2.0f * (s - 1.0f) : ((n + 1.0f) * s - 1.0f) / 2.0f;
  return isnan(p) ? -4194304.0 : fmin(fmax(static_cast<double>(p), -4194304.0), 4194304.0);
}

double Keys(double d) {
  const double a = -0.75;
  if (d <= 1) return (a + 2) * d * d * d - (a + 3) * d * d + 1;
  return d < 2 ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a : 0;
}

// The weight of the pixel at `k`, inside or not, of a value at p.
double WeightOf(uint32_t mode, double p, double k) {
  if (mode == ptq::kGridSampleNearest) return k == rint(p) ? 1 : 0;
  const double d = fabs(p - k);
  return mode == ptq::kGridSampleLinear ? fmax(0.0, 1 - d) : Keys(d);
}

// Which pixel lies at `k`; -1: none.
int PixelAt(double k, uint32_t size, const ptq::GridSampleAttrs& attrs) {
  const double last = size - 1.0;
  if (attrs.padding == ptq::kGridSampleZeros) return k < 0 || k > last ? -1 : static_cast<int>(k);
  if (attrs.padding != ptq::kGridSampleReflection || (attrs.align_corners != 0 && size == 1))
    return static_cast<int>(fmin(fmax(k, 0.0), last));
  const double edge = attrs.align_corners != 0 ? 0 : 0.5;
  const double period = 2 * (last + 2 * edge);
  k -= period * floor(k / period);
  while (k < 0 || k > last) k = k < 0 ? -2 * edge - k : 2 * (last + edge) - k;
  return static_cast<int>(k);
}

// The weights of all pixels along a dimension; `sizes` of their magnitudes.
void AddWeights(float n, uint32_t size, const ptq::GridSampleAttrs& attrs, double* weights,
                double* sizes) {
  const double p = PositionOf(n, size, attrs.align_corners != 0);
  for (uint32_t i = 0; i < size; ++i) weights[i] = sizes[i] = 0;
  for (double k = floor(p) - 3; k <= floor(p) + 3; ++k) {
    const int pixel = PixelAt(k, size, attrs);
    if (pixel < 0) continue;
    weights[pixel] += WeightOf(attrs.mode, p, k);
    // The terms of a weight are of size 1, and it is rounded relative to them.
    if (WeightOf(attrs.mode, p, k) != 0) sizes[pixel] += fabs(WeightOf(attrs.mode, p, k)) + 0.25;
  }
}

void TestCase(const Dims& x_dims, const Dims& grid_dims, const ptq::GridSampleAttrs& attrs,
              Random* random) {
  const size_t rank = x_dims.size(), dims = rank - 2, channels = x_dims[rank - 1];
  const List<float> x = random->Floats(Elements(x_dims));
  List<float> grid = random->Floats(Elements(grid_dims), -2.5f, 2.5f);
  const float edges[] = {-1.0f, 1.0f, 0.0f, NAN, INFINITY, -INFINITY, 3e30f, -77.0f};
  for (size_t i = 0; i < 8 && 3 * i < grid.size(); ++i) grid[3 * i] = edges[i];
  const size_t points = Elements(grid_dims) / dims, per_picture = points / x_dims[0];
  const size_t pixels = Elements(x_dims) / x_dims[0] / channels;
  List<double> expected(points * channels), magnitude(points * channels);
  for (size_t point = 0; point < points; ++point) {
    double weights[3][8], sizes[3][8];
    for (size_t d = 0; d < dims; ++d)
      AddWeights(grid[point * dims + dims - 1 - d], x_dims[d + 1], attrs, weights[d], sizes[d]);
    for (size_t pixel = 0; pixel < pixels; ++pixel) {
      double weight = 1, size = 1;
      size_t rest = pixel;
      for (size_t d = dims; d-- > 0; rest /= x_dims[d + 1]) {
        weight *= weights[d][rest % x_dims[d + 1]];
        size *= sizes[d][rest % x_dims[d + 1]];
      }
      for (size_t c = 0; c < channels; ++c) {
        const double value = x[(point / per_picture * pixels + pixel) * channels + c];
        expected[point * channels + c] += weight * value;
        magnitude[point * channels + c] += size * fabs(value);
      }
    }
  }
  Dims y_dims = grid_dims;
  y_dims[rank - 1] = x_dims[rank - 1];
  ModelBuilder m;
  const uint32_t tx = m.Input("x", ptq::kF32, x_dims), tg = m.Input("grid", ptq::kF32, grid_dims),
                 ty = m.Arena("y", ptq::kF32, y_dims);
  m.Op(ptq::kGridSample, "op", {tx, tg}, ty, attrs);
  m.Output(ty);
  ExpectWithin(m.Finish(), {Bytes(x), Bytes(grid)}, expected, magnitude, 64, "grid_sample");
}

void TestValues() {
  Random random(41);
  const struct {
    Dims x, grid;
  } kShapes[] = {
      {{2, 5, 6, 3}, {2, 4, 3, 2}},
      {{1, 1, 7, 20}, {1, 2, 5, 2}},
      {{2, 6, 2}, {2, 7, 1}},
      {{1, 3, 4, 2, 2}, {1, 2, 3, 2, 3}},
  };
  for (const auto& shape : kShapes) {
    for (uint32_t mode = 0; mode < 3; ++mode) {
      for (uint32_t padding = 0; padding < 3; ++padding) {
        for (uint32_t aligned = 0; aligned < 2; ++aligned) {
          Row("grid_sample rank %d mode %d padding %d aligned %d", static_cast<int>(shape.x.size()),
              static_cast<int>(mode), static_cast<int>(padding), static_cast<int>(aligned));
          TestCase(shape.x, shape.grid, {mode, padding, aligned}, &random);
        }
      }
    }
  }
}

void ExpectRefusedDims(const Dims& x, const Dims& grid, const Dims& y, const char* words) {
  ModelBuilder m;
  const uint32_t tx = m.Input("x", ptq::kF32, x), tg = m.Input("grid", ptq::kF32, grid),
                 ty = m.Arena("y", ptq::kF32, y);
  m.Op(ptq::kGridSample, "op", {tx, tg}, ty, ptq::GridSampleAttrs{1, 0, 0});
  m.Output(ty);
  ExpectRefused(m, words);
}

void TestRefusals() {
  Row("refusals");
  ExpectRefusedDims({1, 5}, {1, 5}, {1, 5}, "rank");
  ExpectRefusedDims({1, 2, 2, 2, 2, 3}, {1, 2, 2, 2, 2, 4}, {1, 2, 2, 2, 2, 3}, "rank");
  ExpectRefusedDims({1, 4, 4, 3}, {1, 2, 2, 3}, {1, 2, 2, 3}, "grid");
  ExpectRefusedDims({2, 4, 4, 3}, {1, 2, 2, 2}, {1, 2, 2, 3}, "grid");
  ExpectRefusedDims({1, 4, 4, 3}, {1, 2, 2, 2}, {1, 2, 3, 3}, "output");
  ExpectRefusedDims({1, 4, 4, 3}, {1, 2, 2, 2}, {1, 2, 2, 4}, "output");
}

}  // namespace

int main() {
  TestValues();
  TestRefusals();
  return Finish("grid_sample_test");
}
