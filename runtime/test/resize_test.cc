// resize through the whole runtime: every mode, coordinate and rounding, bit for bit with the
// formulas of docs/numerics.md, "Resize".
#include <math.h>

#include "kernels/resize/contract.h"
#include "test/support/guarded.h"
#include "test/support/kernel_walk.h"
#include "test/support/one_op.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

constexpr ptq::ClampAttrs kNoClamp = {-INFINITY, INFINITY, -128, 127};

// f of the page.
float Coordinate(uint32_t mode, float scale, uint32_t i, uint32_t n, uint32_t m) {
  const float at = static_cast<float>(i);
  if (mode == ptq::kResizeAsymmetric) return at / scale;
  if (mode == ptq::kResizeAlignCorners)
    return m == 1 ? 0.0f : at * static_cast<float>(n - 1) / static_cast<float>(m - 1);
  if (mode == ptq::kResizePytorchHalfPixel && m == 1) return 0.0f;
  return (at + 0.5f) / scale - 0.5f;
}

size_t NearestPixel(uint32_t rounding, float f, uint32_t n) {
  double k = floor(static_cast<double>(f));
  const double part = static_cast<double>(f) - k;
  if (rounding == ptq::kResizeRoundPreferFloor && part > 0.5) k += 1;
  if (rounding == ptq::kResizeRoundPreferCeil && part >= 0.5) k += 1;
  if (rounding == ptq::kResizeCeil && part > 0) k += 1;
  return static_cast<size_t>(k < 0 ? 0 : k > n - 1 ? n - 1 : k);
}

struct Place {
  size_t index[2];
  float weight[2];
};

Place LinearPlace(float f, uint32_t n) {
  f = fminf(fmaxf(f, 0.0f), static_cast<float>(n - 1));
  const size_t i0 = static_cast<size_t>(f), i1 = i0 + 1 < n ? i0 + 1 : n - 1;
  if (i0 == i1) return {{i0, i1}, {0.5f, 0.5f}};
  return {{i0, i1}, {static_cast<float>(i1) - f, f - static_cast<float>(i0)}};
}

struct ResizeCase {
  uint32_t n, h, w, c, oh, ow;
  float scale_h, scale_w;
};

void TestNearest(const ResizeCase& t, uint32_t coordinates, uint32_t rounding, Random* random) {
  const Dims x_dims = {t.n, t.h, t.w, t.c}, y_dims = {t.n, t.oh, t.ow, t.c};
  const List<int8_t> q = random->Int8s(Elements(x_dims));
  const List<float> x = random->Floats(Elements(x_dims));
  List<int8_t> expected_q(Elements(y_dims));
  List<float> expected(Elements(y_dims));
  for (size_t i = 0; i < expected.size(); ++i) {
    const size_t c = i % t.c, ox = i / t.c % t.ow, oy = i / t.c / t.ow % t.oh,
                 n = i / t.c / t.ow / t.oh;
    const size_t iy = NearestPixel(
        rounding, Coordinate(coordinates, t.scale_h, static_cast<uint32_t>(oy), t.h, t.oh), t.h);
    const size_t ix = NearestPixel(
        rounding, Coordinate(coordinates, t.scale_w, static_cast<uint32_t>(ox), t.w, t.ow), t.w);
    const size_t from = ((n * t.h + iy) * t.w + ix) * t.c + c;
    expected[i] = x[from];
    expected_q[i] = q[from] > 100 ? 100 : q[from];
  }
  ptq::ResizeAttrs attrs = {ptq::kResizeNearest, coordinates, rounding,
                            t.scale_h,           t.scale_w,   kNoClamp};
  Expect(OneOp<float>(ptq::kResize, x_dims, y_dims, attrs).Finish(), {Bytes(x)}, expected,
         "nearest f32");
  attrs.clamp.q_max = 100;
  Expect(OneOp<int8_t>(ptq::kResize, x_dims, y_dims, attrs).Finish(), {Bytes(q)}, expected_q,
         "nearest i8");
}

// [N,OH,OW,C] of x [N,H,W,C] by the page's formula.
List<float> ReferenceLinear(const ResizeCase& t, uint32_t coordinates, const List<float>& x) {
  List<float> y(size_t{t.n} * t.oh * t.ow * t.c);
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t c = i % t.c, ox = i / t.c % t.ow, oy = i / t.c / t.ow % t.oh,
                 n = i / t.c / t.ow / t.oh;
    const Place row =
        LinearPlace(Coordinate(coordinates, t.scale_h, static_cast<uint32_t>(oy), t.h, t.oh), t.h);
    const Place column =
        LinearPlace(Coordinate(coordinates, t.scale_w, static_cast<uint32_t>(ox), t.w, t.ow), t.w);
    const auto tap = [&](int r, int k) {
      return x[((n * t.h + row.index[r]) * t.w + column.index[k]) * t.c + c] *
             (column.weight[k] * row.weight[r]);
    };
    y[i] = ((tap(0, 0) + tap(0, 1)) + tap(1, 0)) + tap(1, 1);
  }
  return y;
}

void TestLinear(const ResizeCase& t, uint32_t coordinates, Random* random) {
  const Dims x_dims = {t.n, t.h, t.w, t.c}, y_dims = {t.n, t.oh, t.ow, t.c};
  const List<float> x = random->Floats(Elements(x_dims));
  List<float> expected = ReferenceLinear(t, coordinates, x);
  for (size_t i = 0; i < expected.size(); ++i) expected[i] = fminf(fmaxf(expected[i], -1.0f), 1.5f);
  ptq::ResizeAttrs attrs = {ptq::kResizeLinear, coordinates, 0,
                            t.scale_h,          t.scale_w,   {-1.0f, 1.5f, -120, 127}};
  Expect(OneOp<float>(ptq::kResize, x_dims, y_dims, attrs).Finish(), {Bytes(x)}, expected,
         "linear f32");
  const List<int8_t> q = random->Int8s(Elements(x_dims));
  List<float> real(q.size());
  for (size_t i = 0; i < q.size(); ++i) real[i] = static_cast<float>(q[i] - 11) * 0.037f;
  real = ReferenceLinear(t, coordinates, real);
  List<int8_t> expected_q(real.size());
  for (size_t i = 0; i < real.size(); ++i)
    expected_q[i] = ReferenceQuantize(real[i] / 0.029f, -5, -120, 127);
  ModelBuilder m;
  const uint32_t tx = m.Input("x", ptq::kI8, x_dims, m.Qparams(0.037f, 11)),
                 ty = m.Arena("y", ptq::kI8, y_dims, m.Qparams(0.029f, -5));
  m.Op(ptq::kResize, "op", {tx}, ty, attrs);
  m.Output(ty);
  Expect(m.Finish(), {Bytes(q)}, expected_q, "linear i8");
}

void TestModes() {
  Random random(41);
  const ResizeCase rows[] = {
      {1, 7, 5, 24, 14, 10, 2, 2},         {2, 4, 6, 3, 9, 7, 2.3f, 1.2f},
      {1, 9, 11, 1, 4, 3, 0.45f, 0.3f},    {1, 1, 1, 5, 3, 4, 3, 4},
      {1, 8, 8, 33, 1, 1, 0.125f, 0.125f}, {2, 5, 5, 40, 5, 5, 1, 1},
      {1, 20, 30, 7, 40, 61, 2, 2.05f},
  };
  for (const ResizeCase& row : rows) {
    for (uint32_t coordinates = 0; coordinates < ptq::kResizeCoordinatesCount; ++coordinates) {
      Row("resize %dx%d to %dx%d, coordinates %d", static_cast<int>(row.h), static_cast<int>(row.w),
          static_cast<int>(row.oh), static_cast<int>(row.ow), static_cast<int>(coordinates));
      TestLinear(row, coordinates, &random);
      for (uint32_t rounding = 0; rounding < ptq::kResizeRoundingCount; ++rounding)
        TestNearest(row, coordinates, rounding, &random);
    }
  }
  // Scales so far from the shapes that every coordinate is clamped, or infinite.
  for (float scale : {1e-38f, 1e38f}) {
    Row("resize by %g", static_cast<double>(scale));
    const ResizeCase far = {1, 3, 4, 2, 5, 6, scale, scale};
    TestLinear(far, ptq::kResizeHalfPixel, &random);
    TestNearest(far, ptq::kResizeHalfPixel, ptq::kResizeRoundPreferCeil, &random);
  }
}

// Kernels alone: rows that end at guard pages, every number of channels around the vector widths.
void TestKernel(const ptq::ResizeF32Kernel& kernel) {
  Random random(42);
  const ptq::Neighbours columns[] = {{0, 1, 0.75f, 0.25f}, {2, 2, 0.5f, 0.5f}, {1, 2, 0.1f, 0.9f}};
  for (size_t channels = 1; channels <= 70; ++channels) {
    const Guarded<float> top(random.Floats(3 * channels), 0),
        bottom(random.Floats(3 * channels), 0);
    Guarded<float> y(3 * channels);
    List<float> expected(3 * channels);
    for (size_t i = 0; i < expected.size(); ++i) {
      const ptq::Neighbours& n = columns[i / channels];
      const size_t c = i % channels, l = n.before * channels + c, r = n.behind * channels + c;
      const float value = ((top[l] * (n.before_weight * 0.3f) + top[r] * (n.behind_weight * 0.3f)) +
                           bottom[l] * (n.before_weight * 0.7f)) +
                          bottom[r] * (n.behind_weight * 0.7f);
      expected[i] = fminf(fmaxf(value, -1.0f), 1.0f);
    }
    kernel.run({top.data(), bottom.data(), 0.3f, 0.7f, columns, y.data(), 3, channels, -1, 1});
    SameBytes(y.data(), expected.data(), expected.size(), "resize row");
  }
}

void TestRefusals() {
  const auto refuse = [](const ptq::ResizeAttrs& attrs, const Dims& y, const char* words) {
    Row("resize refusal: %s", words);
    ExpectRefused(OneOp<float>(ptq::kResize, {1, 2, 3, 4}, y, attrs), words);
    ExpectRefused(OneOp<int8_t>(ptq::kResize, {1, 2, 3, 4}, y, attrs), words);
  };
  const Dims y = {1, 4, 6, 4};
  refuse({2, 0, 0, 2, 2, kNoClamp}, y, "mode: 2");
  refuse({0, 4, 0, 2, 2, kNoClamp}, y, "coordinates: 4");
  refuse({0, 0, 4, 2, 2, kNoClamp}, y, "rounding: 4");
  refuse({1, 0, 1, 2, 2, kNoClamp}, y, "rounding: 1");
  refuse({0, 0, 0, 0, 2, kNoClamp}, y, "scale_h: 0");
  refuse({0, 0, 0, 2, -2, kNoClamp}, y, "scale_w: -2");
  refuse({0, 0, 0, INFINITY, 2, kNoClamp}, y, "scale_h: inf");
  refuse({0, 0, 0, 2, NAN, kNoClamp}, y, "scale_w: ");
  refuse({0, 0, 0, 2, 2, {1, 0, -128, 127}}, y, "clamp");
  refuse({0, 0, 0, 2, 2, kNoClamp}, {1, 4, 6, 5}, "dims[3]: 5 instead of 4");
  refuse({0, 0, 0, 2, 2, kNoClamp}, {1, 4, 24}, "rank");
  Row("nearest with other qparams");
  ModelBuilder m;
  const uint32_t tx = m.Input("x", ptq::kI8, Dims{1, 2, 3, 4}, m.Qparams(0.5f)),
                 ty = m.Arena("y", ptq::kI8, y, m.Qparams(0.25f));
  m.Op(ptq::kResize, "op", {tx}, ty, ptq::ResizeAttrs{0, 0, 0, 2, 2, kNoClamp});
  m.Output(ty);
  ExpectRefused(m, "qparams");
}

}  // namespace

int main() {
  TestModes();
  WalkList("resize", ptq::kResizeF32Kernels, TestKernel);
  TestRefusals();
  return Finish("resize_test");
}
