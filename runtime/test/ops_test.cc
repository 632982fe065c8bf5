// Arithmetic, pooling, conversions, reshape and softmax through the whole runtime against plain
// loops.
#include <math.h>

#include "numerics/sum_blocks.h"
#include "test/support/one_op.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

// Index in `dims` of the output element `index` of shape `y`, with dimensions of size 1 broadcast.
size_t BroadcastIndex(size_t index, const Dims& y, const Dims& dims) {
  size_t result = 0, stride = 1;
  for (size_t d = y.size(); d-- > 0; index /= y[d]) {
    if (d + dims.size() < y.size()) continue;
    const uint32_t dim = dims[d + dims.size() - y.size()];
    if (dim != 1) result += index % y[d] * stride;
    stride *= dim;
  }
  return result;
}

void TestBinary() {
  const struct {
    Dims a, b, y;
  } rows[] = {
      {{1, 5, 7, 3}, {1, 5, 7, 3}, {1, 5, 7, 3}},
      {{2, 3, 4, 5}, {5}, {2, 3, 4, 5}},
      {{5}, {2, 3, 4, 5}, {2, 3, 4, 5}},
      {{2, 3, 1, 5}, {2, 1, 4, 1}, {2, 3, 4, 5}},
      {{1}, {3, 3}, {3, 3}},
      {{}, {}, {}},
      {{7, 1}, {1, 9}, {7, 9}},
      {{1, 64, 64, 8}, {1, 1, 1, 8}, {1, 64, 64, 8}},
      {{1, 40, 40, 33}, {1, 40, 40, 33}, {1, 40, 40, 33}},
      {{3, 5, 7, 24}, {3, 1, 1, 24}, {3, 5, 7, 24}},  // squeeze and excite
      {{3, 1, 1, 24}, {3, 5, 7, 24}, {3, 5, 7, 24}},
      {{2, 9, 9, 3}, {2, 9, 9, 1}, {2, 9, 9, 3}},  // one value per pixel
      {{2, 3, 1}, {1, 3, 40}, {2, 3, 40}},
      {{1, 30, 30, 300}, {300}, {1, 30, 30, 300}},
      {{4, 1, 300}, {1, 5, 1}, {4, 5, 300}},
  };
  Random random(21);
  for (const auto& row : rows) {
    const size_t count = Elements(row.y);
    Row("binary, %d elements", static_cast<int>(count));
    const List<float> b = random.Floats(Elements(row.b), 0.5f, 2);
    for (uint16_t kind :
         {ptq::kAdd, ptq::kSub, ptq::kMul, ptq::kDiv, ptq::kMaximum, ptq::kMinimum, ptq::kPow}) {
      const List<float> a = random.Floats(Elements(row.a), kind == ptq::kPow ? 0.0f : -2.0f);
      ModelBuilder m;
      const uint32_t ta = m.Input("a", ptq::kF32, row.a), tb = m.Input("b", ptq::kF32, row.b);
      const uint32_t y = m.Arena("y", ptq::kF32, row.y);
      m.Op(kind, "op", {ta, tb}, y, ptq::ClampAttrs{-1.0f, 2.5f, -128, 127});
      m.Output(y);
      List<float> expected(count);
      for (size_t i = 0; i < count; ++i) {
        const float value = ReferenceBinary(kind, a[BroadcastIndex(i, row.y, row.a)],
                                            b[BroadcastIndex(i, row.y, row.b)]);
        expected[i] = fminf(fmaxf(value, -1.0f), 2.5f);
      }
      Expect(m.Finish(), {Bytes(a), Bytes(b)}, expected, "binary f32");
    }
    const List<int8_t> qa = random.Int8s(Elements(row.a)), qb = random.Int8s(Elements(row.b));
    for (uint16_t kind : {ptq::kAdd, ptq::kSub, ptq::kMul}) {
      for (int z : {0, -128, 77}) {
        const float sa = 0.031f, sb = 0.007f, sy = z == 0 ? 0.04f : 0.013f;
        ModelBuilder m;
        const uint32_t ta = m.Input("a", ptq::kI8, row.a, m.Qparams(sa, z)),
                       tb = m.Constant("b", ptq::kI8, row.b, qb.data(), m.Qparams(sb, 5));
        const uint32_t y = m.Arena("y", ptq::kI8, row.y, m.Qparams(sy, -z / 2));
        m.Op(kind, "op", {ta, tb}, y, ptq::ClampAttrs{0, 0, -100, 127});
        m.Output(y);
        List<int8_t> expected(count);
        for (size_t i = 0; i < count; ++i) {
          const int left = qa[BroadcastIndex(i, row.y, row.a)] - z,
                    right = qb[BroadcastIndex(i, row.y, row.b)] - 5;
          const float real = kind == ptq::kMul
                                 ? static_cast<float>(left * right) * (sa * sb / sy)
                                 : ReferenceBinary(kind, static_cast<float>(left) * (sa / sy),
                                                   static_cast<float>(right) * (sb / sy));
          expected[i] = ReferenceQuantize(real, -z / 2, -100, 127);
        }
        Expect(m.Finish(), {Bytes(qa)}, expected, "binary i8");
      }
    }
  }
}

struct PoolCase {
  uint32_t n, h, w, c, kh, kw, sh, sw, dh, dw, pt, pl, pb, pr;
};

void TestPool(const PoolCase& t, bool maximum, bool include_pad) {
  Random random(22);
  const uint32_t oh = (t.h + t.pt + t.pb - ((t.kh - 1) * t.dh + 1)) / t.sh + 1;
  const uint32_t ow = (t.w + t.pl + t.pr - ((t.kw - 1) * t.dw + 1)) / t.sw + 1;
  const size_t x_size = t.n * t.h * t.w * t.c, y_size = t.n * oh * ow * t.c;
  const List<int8_t> xq = random.Int8s(x_size);
  const List<float> xf = random.Floats(x_size);
  const int z_in = 9, z_out = maximum ? 9 : -20;
  const float s_in = 0.05f, s_out = maximum ? 0.05f : 0.03f;
  List<int8_t> expected_q(y_size);
  List<double> expected_f(y_size), magnitude(y_size);
  for (size_t i = 0; i < y_size; ++i) {
    const size_t c = i % t.c, x = i / t.c % ow, y = i / t.c / ow % oh, n = i / t.c / ow / oh;
    int64_t sum = 0;
    int best = -129, count = 0;
    double total = 0, best_f = -1e30;
    for (uint32_t ky = 0; ky < t.kh; ++ky) {
      for (uint32_t kx = 0; kx < t.kw; ++kx) {
        const int iy = static_cast<int>(y * t.sh + ky * t.dh) - static_cast<int>(t.pt);
        const int ix = static_cast<int>(x * t.sw + kx * t.dw) - static_cast<int>(t.pl);
        if (iy < 0 || ix < 0 || iy >= static_cast<int>(t.h) || ix >= static_cast<int>(t.w))
          continue;
        const size_t at = ((n * t.h + iy) * t.w + ix) * t.c + c;
        sum += xq[at] - z_in;
        best = xq[at] > best ? xq[at] : best;
        total += static_cast<double>(xf[at]);
        best_f = fmax(best_f, static_cast<double>(xf[at]));
        magnitude[i] += maximum ? 0 : fabs(static_cast<double>(xf[at]));
        ++count;
      }
    }
    const int divisor = include_pad ? static_cast<int>(t.kh * t.kw) : count;
    expected_q[i] = maximum ? static_cast<int8_t>(best > 100 ? 100 : best)
                            : ReferenceRequantize(sum, s_in / (s_out * static_cast<float>(divisor)),
                                                  z_out, -128, 100);
    expected_f[i] = maximum ? best_f : total / divisor;
    magnitude[i] /= divisor;
  }
  const ptq::Pool2dAttrs attrs = {t.kh,
                                  t.kw,
                                  t.sh,
                                  t.sw,
                                  t.dh,
                                  t.dw,
                                  t.pt,
                                  t.pl,
                                  t.pb,
                                  t.pr,
                                  include_pad ? 1u : 0u,
                                  {-INFINITY, INFINITY, -128, 100}};
  const uint16_t kind = maximum ? ptq::kMaxPool2d : ptq::kAveragePool2d;
  ModelBuilder quantized, real;
  const uint32_t xi =
      quantized.Input("x", ptq::kI8, Dims{t.n, t.h, t.w, t.c}, quantized.Qparams(s_in, z_in));
  const uint32_t yi =
      quantized.Arena("y", ptq::kI8, Dims{t.n, oh, ow, t.c}, quantized.Qparams(s_out, z_out));
  quantized.Op(kind, "pool", {xi}, yi, attrs);
  quantized.Output(yi);
  Expect(quantized.Finish(), {Bytes(xq)}, expected_q, "pool i8");
  const uint32_t xr = real.Input("x", ptq::kF32, Dims{t.n, t.h, t.w, t.c}),
                 yr = real.Arena("y", ptq::kF32, Dims{t.n, oh, ow, t.c});
  real.Op(kind, "pool", {xr}, yr, attrs);
  real.Output(yr);
  RunEverywhere(real.Finish(), {Bytes(xf)}, [&](const ptq_context* context) {
    WithinBound(static_cast<const float*>(ptq_context_output(context, 0)), expected_f.data(),
                magnitude.data(), ptq::Min<size_t>(t.kh * t.kw, ptq::kSumRoundings), y_size,
                "pool f32");
  });
}

void TestPools() {
  constexpr PoolCase kRows[] = {
      {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0},  {1, 7, 7, 33, 7, 7, 1, 1, 1, 1, 0, 0, 0, 0},
      {2, 8, 9, 5, 3, 3, 2, 2, 1, 1, 0, 1, 1, 1},  {1, 6, 6, 16, 2, 2, 3, 3, 1, 1, 0, 0, 0, 0},
      {1, 5, 6, 17, 3, 2, 1, 1, 1, 1, 2, 1, 2, 1}, {1, 64, 64, 24, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1},
  };
  for (const PoolCase& row : kRows) {
    Row("pool %dx%d", static_cast<int>(row.h), static_cast<int>(row.w));
    TestPool(row, true, false);
    TestPool(row, false, false);
    TestPool(row, false, true);
  }
  Row("dilated max pool");
  TestPool({1, 9, 8, 3, 3, 2, 2, 1, 2, 3, 1, 1, 1, 1}, true, false);
}

void TestConversions() {
  Random random(26);
  for (uint32_t count : {1u, 5u, 100u, 100000u}) {
    Row("conversions of %d", static_cast<int>(count));
    const List<float> x = random.Floats(count, -9, 9);
    const List<int8_t> q = random.Int8s(count);
    List<int8_t> quantized(count), clamped(count);
    List<float> back(count);
    for (size_t i = 0; i < count; ++i) {
      quantized[i] = ReferenceQuantize(x[i] / 0.053f, -4, -128, 127);
      back[i] = static_cast<float>(q[i] + 4) * 0.053f;
      clamped[i] = ReferenceQuantize(back[i] / 0.02f, 10, 10, 80);
    }
    ModelBuilder m1, m2, m3, m4;
    uint32_t tx = m1.Input("x", ptq::kF32, Dims{count}),
             ty = m1.Arena("y", ptq::kI8, Dims{count}, m1.Qparams(0.053f, -4));
    m1.Op(ptq::kQuantize, "q", {tx}, ty);
    m1.Output(ty);
    Expect(m1.Finish(), {Bytes(x)}, quantized, "quantize");
    tx = m2.Input("x", ptq::kI8, Dims{count}, m2.Qparams(0.053f, -4));
    ty = m2.Arena("y", ptq::kF32, Dims{count});
    m2.Op(ptq::kDequantize, "dq", {tx}, ty);
    m2.Output(ty);
    Expect(m2.Finish(), {Bytes(q)}, back, "dequantize");
    tx = m3.Input("x", ptq::kI8, Dims{count}, m3.Qparams(0.053f, -4));
    ty = m3.Arena("y", ptq::kI8, Dims{count}, m3.Qparams(0.02f, 10));
    m3.Op(ptq::kClamp, "clamp", {tx}, ty, ptq::ClampAttrs{0, 0, 10, 80});
    m3.Output(ty);
    Expect(m3.Finish(), {Bytes(q)}, clamped, "clamp i8");
    List<float> real(count);
    for (size_t i = 0; i < count; ++i) real[i] = fminf(fmaxf(x[i], 0.0f), 6.0f);
    tx = m4.Input("x", ptq::kF32, Dims{count});
    ty = m4.Arena("y", ptq::kF32, Dims{count});
    m4.Op(ptq::kClamp, "clamp", {tx}, ty, ptq::ClampAttrs{0, 6, 0, 0});
    m4.Output(ty);
    Expect(m4.Finish(), {Bytes(x)}, real, "clamp f32");
  }
}

void TestReshape() {
  Random random(27);
  for (bool in_place : {false, true}) {
    Row("reshape, in place %d", in_place ? 1 : 0);
    ModelBuilder m;
    const uint32_t q = m.Qparams(0.5f, 1), tx = m.Input("x", ptq::kI8, Dims{2, 3, 4}, q),
                   ty = m.Arena("y", ptq::kI8, Dims{24}, q);
    m.Op(ptq::kReshape, "reshape", {tx}, ty);
    m.Output(ty);
    if (in_place) m.ShareMemory(ty, tx);
    const List<int8_t> values = random.Int8s(24);
    Expect(m.Finish(), {Bytes(values)}, values, "reshape");
  }
}

void TestSoftmaxes() {
  Random random(28);
  const struct {
    Dims dims;
    uint32_t axis;
  } rows[] = {
      {{2, 3, 4}, 0},   {{2, 3, 4}, 1},     {{2, 3, 4}, 2},
      {{1}, 0},         {{1, 9, 9, 21}, 3}, {{2, 5, 7, 3}, 1},
      {{1, 16, 33}, 1}, {{1, 20000, 2}, 1}, {{1, 40, 100, 17}, 2},
  };
  for (const auto& row : rows) {
    Row("softmax of rank %d, axis %d", static_cast<int>(row.dims.size()),
        static_cast<int>(row.axis));
    const size_t total = Elements(row.dims), count = row.dims[row.axis];
    size_t inner = 1;
    for (size_t d = row.axis + 1; d < row.dims.size(); ++d) inner *= row.dims[d];
    const List<float> x = random.Floats(total, -5, 5);
    List<double> expected(total), magnitude(total);
    for (size_t i = 0; i < total; ++i) {
      const size_t base = i / (inner * count) * inner * count + i % inner;
      if (i != base) continue;  // the column's first element does all of it
      double sum = 0;
      for (size_t k = 0; k < count; ++k) sum += exp(static_cast<double>(x[base + k * inner]));
      for (size_t k = 0; k < count; ++k) {
        const size_t at = base + k * inner;
        expected[at] = exp(static_cast<double>(x[at])) / sum;
        magnitude[at] = expected[at] * 11;  // 1 + the largest distance to the maximum
      }
    }
    ExpectWithin(
        OneOp<float>(ptq::kSoftmax, row.dims, row.dims, ptq::SoftmaxAttrs{row.axis}).Finish(),
        {Bytes(x)}, expected, magnitude, ptq::Min(count, ptq::kSumRoundings), "softmax");
  }
}

}  // namespace

int main() {
  TestBinary();
  TestPools();
  TestConversions();
  TestReshape();
  TestSoftmaxes();
  return Finish("ops_test");
}
