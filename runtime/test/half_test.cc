// Operators on f16 through the whole runtime against plain loops in double precision: in half
// precision where the CPU computes in it, elsewhere in float32 with a rounding at the end. Both
// keep to the same bound.
#include <math.h>

#include "program/program.h"
#include "test/support/one_op.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;
using ptq::Half;

constexpr ptq::ClampAttrs kNone = {-INFINITY, INFINITY, -128, 127};

struct ConvCase {
  uint32_t n, h, w, c, o, kh, kw, stride, dilation, pad, groups;
};

constexpr ConvCase kConvCases[] = {
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1},       // a single product
    {1, 8, 8, 16, 24, 1, 1, 1, 1, 0, 1},     // pointwise
    {2, 5, 7, 3, 9, 3, 3, 1, 1, 1, 1},       // lines, batch, odd everything
    {1, 9, 9, 7, 5, 1, 1, 3, 1, 0, 1},       // stride > kernel
    {1, 11, 10, 3, 4, 3, 3, 2, 2, 2, 1},     // patches: dilation
    {1, 6, 6, 12, 8, 3, 3, 1, 1, 1, 4},      // groups
    {1, 9, 8, 18, 40, 3, 3, 1, 1, 1, 1},     // taps
    {1, 13, 12, 64, 300, 1, 1, 1, 1, 0, 1},  // panels
    {1, 6, 7, 17, 17, 3, 3, 1, 1, 1, 17},    // depthwise, tail of one channel
    {2, 5, 4, 16, 16, 3, 3, 2, 1, 1, 16},    // depthwise, stride 2
    {1, 9, 17, 40, 40, 5, 5, 1, 1, 2, 40},   // depthwise 5x5
    {1, 9, 17, 24, 24, 5, 5, 2, 1, 2, 24},   // depthwise 5x5, stride 2
    {1, 9, 8, 35, 35, 5, 3, 1, 2, 4, 35},    // depthwise, any
    {1, 40, 40, 48, 48, 3, 3, 1, 1, 1, 48},  // enough work for all threads
    {5, 1, 1, 33, 10, 1, 1, 1, 1, 0, 1},     // a fully connected layer in disguise
    {3, 1, 1, 5000, 9, 1, 1, 1, 1, 0, 1},    // long sums
    {1, 3, 4, 300, 5, 3, 3, 1, 1, 1, 1},     // long sums of taps
};

uint32_t OutSize(uint32_t in, uint32_t kernel, const ConvCase& t) {
  return (in + 2 * t.pad - ((kernel - 1) * t.dilation + 1)) / t.stride + 1;
}

// Calls product(output index, input index, weight index) for every product inside the picture.
template <typename Product>
void ForProducts(const ConvCase& t, Product product) {
  const uint32_t oh = OutSize(t.h, t.kh, t), ow = OutSize(t.w, t.kw, t), cg = t.c / t.groups,
                 og = t.o / t.groups;
  for (uint32_t y = 0; y < t.n * oh * ow * t.o; ++y) {
    const uint32_t o = y % t.o, ox = y / t.o % ow, oy = y / t.o / ow % oh, n = y / t.o / ow / oh;
    for (uint32_t tap = 0; tap < t.kh * t.kw; ++tap) {
      const uint32_t iy = oy * t.stride + tap / t.kw * t.dilation - t.pad,  // wraps around below 0
          ix = ox * t.stride + tap % t.kw * t.dilation - t.pad;
      if (iy >= t.h || ix >= t.w) continue;
      for (uint32_t c = 0; c < cg; ++c)
        product(y, ((n * t.h + iy) * t.w + ix) * t.c + o / og * cg + c,
                (o * t.kh * t.kw + tap) * cg + c);
    }
  }
}

// `residual`: conv2d_add, whose convolution has a clamp of its own; what it adds may be a constant.
void TestConv(const ConvCase& t, bool bias, bool residual, bool fully_connected,
              bool constant_residual = false) {
  Random random(71);
  const uint32_t oh = OutSize(t.h, t.kh, t), ow = OutSize(t.w, t.kw, t);
  const size_t products = t.kh * t.kw * (t.c / t.groups), count = t.n * oh * ow * t.o;
  const List<Half> x = random.Halves(t.n * t.h * t.w * t.c), w = random.Halves(t.o * products),
                   b = random.Halves(t.o), r = random.Halves(count);
  List<double> expected(count), magnitude(count);
  if (bias) {
    for (size_t i = 0; i < count; ++i) {
      expected[i] = ToDouble(b[i % t.o]);
      magnitude[i] = fabs(expected[i]);
    }
  }
  ForProducts(t, [&](size_t y, size_t in, size_t k) {
    const double product = ToDouble(x[in]) * ToDouble(w[k]);
    expected[y] += product;
    magnitude[y] += fabs(product);
  });
  const ptq::ClampAttrs clamp = {-3.0f, 6.0f, -128, 127};
  for (size_t i = 0; i < count; ++i) {
    expected[i] = fmin(fmax(expected[i], -3.0), 6.0);
    if (!residual) continue;
    expected[i] = fmin(fmax(expected[i] + ToDouble(r[i]), 0.0), 5.0);
    magnitude[i] += fabs(ToDouble(r[i]));
  }
  ModelBuilder m;
  const Dims x_dims = fully_connected ? Dims{t.n, t.c} : Dims{t.n, t.h, t.w, t.c};
  const Dims w_dims = fully_connected ? Dims{t.o, t.c} : Dims{t.o, t.kh, t.kw, t.c / t.groups};
  const Dims y_dims = fully_connected ? Dims{t.n, t.o} : Dims{t.n, oh, ow, t.o};
  List<uint32_t> inputs = {m.Input("x", ptq::kF16, x_dims),
                           m.Constant("w", ptq::kF16, w_dims, w.data())};
  List<InputData> data = {Bytes(x)};
  if (constant_residual) {
    inputs.Add(m.Constant("r", ptq::kF16, y_dims, r.data()));
  } else if (residual) {
    inputs.Add(m.Input("r", ptq::kF16, y_dims));
    data.Add(Bytes(r));
  }
  if (bias) inputs.Add(m.Constant("b", ptq::kF16, {t.o}, b.data()));
  const uint32_t y = m.Arena("y", ptq::kF16, y_dims);
  const ptq::Conv2dAttrs conv = {t.stride, t.stride, t.dilation, t.dilation, t.pad,
                                 t.pad,    t.pad,    t.pad,      t.groups,   clamp};
  if (fully_connected) {
    m.Op(ptq::kFullyConnected, "op", inputs, y, clamp);
  } else if (residual) {
    m.Op(ptq::kConv2dAdd, "op", inputs, y, WithAddition(conv, 1.0f, 0, {0.0f, 5.0f, -128, 127}));
  } else {
    m.Op(ptq::kConv2d, "op", inputs, y, conv);
  }
  m.Output(y);
  ExpectWithin<Half>(m.Finish(), data, expected, magnitude, products, "f16 convolution");
}

void TestConvs() {
  for (size_t i = 0; i < sizeof kConvCases / sizeof kConvCases[0]; ++i) {
    const ConvCase& t = kConvCases[i];
    for (const bool bias : {false, true}) {
      Row("f16 conv case %d, bias %d", static_cast<int>(i), bias);
      TestConv(t, bias, false, false);
      TestConv(t, bias, true, false);
      TestConv(t, bias, true, false, true);
      if (t.h * t.w * t.kh * t.kw == 1) TestConv(t, bias, false, true);
    }
  }
}

void TestBinary() {
  Random random(72);
  const Dims a_dims = {2, 5, 7, 19}, b_dims = {2, 1, 1, 19};
  const List<Half> a = random.Halves(Elements(a_dims)), b = random.Halves(2 * 19, 0.5f, 2);
  for (uint16_t kind : {ptq::kAdd, ptq::kSub, ptq::kMul, ptq::kDiv, ptq::kMaximum, ptq::kMinimum}) {
    Row("f16 binary %d", kind);
    ModelBuilder m;
    const uint32_t ta = m.Input("a", ptq::kF16, a_dims),
                   tb = m.Constant("b", ptq::kF16, b_dims, b.data()),
                   y = m.Arena("y", ptq::kF16, a_dims);
    m.Op(kind, "op", {ta, tb}, y, ptq::ClampAttrs{-1.5f, 2.5f, -128, 127});
    m.Output(y);
    List<Half> expected(a.size());
    for (size_t i = 0; i < a.size(); ++i) {
      const size_t at = i / (5 * 7 * 19) * 19 + i % 19;
      const float value = ReferenceBinary(kind, ptq::ToFloat(a[i]), ptq::ToFloat(b[at]));
      expected[i] = ptq::ToHalf(fminf(fmaxf(value, -1.5f), 2.5f));
    }
    Expect(m.Finish(), {Bytes(a)}, expected, "f16 binary");
  }
}

void TestPools() {
  Random random(73);
  const uint32_t size = 6, channels = 21;
  const List<Half> x = random.Halves(size * size * channels);
  for (const bool maximum : {false, true}) {
    Row("f16 pool, maximum %d", maximum);
    const ptq::Pool2dAttrs attrs = {3, 3, 3, 3, 1, 1, 0, 0, 0, 0, 0, {-1.0f, 1.5f, -128, 127}};
    List<double> expected(4 * channels), magnitude(4 * channels);
    for (size_t i = 0; i < expected.size(); ++i) {
      const size_t c = i % channels, ox = i / channels % 2, oy = i / channels / 2;
      double sum = 0, best = -1e9;
      for (size_t tap = 0; tap < 9; ++tap) {
        const double value =
            ToDouble(x[((oy * 3 + tap / 3) * size + ox * 3 + tap % 3) * channels + c]);
        sum += value / 9;
        best = fmax(best, value);
        magnitude[i] += maximum ? 0 : fabs(value) / 9;
      }
      expected[i] = fmin(fmax(maximum ? best : sum, -1.0), 1.5);
    }
    const auto model = OneOp<Half>(maximum ? ptq::kMaxPool2d : ptq::kAveragePool2d,
                                   {1, size, size, channels}, {1, 2, 2, channels}, attrs);
    ExpectWithin<Half>(model.Finish(), {Bytes(x)}, expected, magnitude, 9, "f16 pool");
  }
}

void TestElementwise() {
  Random random(74);
  const Dims dims = {3, 7, 31};
  const List<Half> x = random.Halves(Elements(dims), -6, 6);
  List<Half> clamped(x.size());
  List<double> swish(x.size()), magnitude(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double value = ToDouble(x[i]);
    clamped[i] = ptq::ToHalf(fminf(fmaxf(ptq::ToFloat(x[i]), -0.7f), 6.0f));
    swish[i] = value * fmin(fmax(value / 6 + 0.5, 0.0), 1.0);
    magnitude[i] = fabs(value);
  }
  Row("f16 clamp");
  Expect(OneOp<Half>(ptq::kClamp, dims, dims, ptq::ClampAttrs{-0.7f, 6.0f, -128, 127}).Finish(),
         {Bytes(x)}, clamped, "f16 clamp");
  Row("f16 unary");
  const ptq::UnaryAttrs attrs = {ptq::kUnaryHardSwish, 0, 0, kNone};
  ExpectWithin<Half>(OneOp<Half>(ptq::kUnary, dims, dims, attrs).Finish(), {Bytes(x)}, swish,
                     magnitude, 0, "f16 hard_swish");
}

// What only moves: exact.
void TestMoves() {
  Random random(75);
  const List<Half> a = random.Halves(2 * 3 * 5), b = random.Halves(2 * 3 * 8);
  for (const float bound : {INFINITY, 1.0f}) {
    Row("f16 concat, at most %g", static_cast<double>(bound));
    ModelBuilder m;
    const uint32_t ta = m.Input("a", ptq::kF16, {2, 3, 5}), tb = m.Input("b", ptq::kF16, {2, 3, 8}),
                   y = m.Arena("y", ptq::kF16, {2, 3, 13});
    m.Op(ptq::kConcat, "op", {ta, tb}, y, ptq::ConcatAttrs{2, {-INFINITY, bound, -128, 127}});
    m.Output(y);
    List<Half> expected;
    for (size_t row = 0; row < 6; ++row) {
      expected.Append(a.data() + 5 * row, 5);
      expected.Append(b.data() + 8 * row, 8);
    }
    for (size_t i = 0; i < expected.size(); ++i)
      expected[i] = ptq::ToHalf(fminf(ptq::ToFloat(expected[i]), bound));
    Expect(m.Finish(), {Bytes(a), Bytes(b)}, expected, "f16 concat");
  }
  Row("f16 reshape");
  ModelBuilder m;
  const uint32_t x = m.Input("x", ptq::kF16, {2, 3, 5}), y = m.Arena("y", ptq::kF16, {30});
  m.Op(ptq::kReshape, "op", {x}, y);
  m.Output(y);
  Expect(m.Finish(), {Bytes(a)}, a, "f16 reshape");
}

void TestConvert() {
  Random random(76);
  const List<float> x = random.Floats(40000, -70000, 70000);
  List<Half> halves(x.size());
  List<float> back(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    halves[i] = ptq::ToHalf(x[i]);
    back[i] = ptq::ToFloat(halves[i]);
  }
  Row("convert");
  ModelBuilder m;
  const uint32_t from = m.Input("x", ptq::kF32, {40000}), half = m.Arena("h", ptq::kF16, {40000}),
                 to = m.Arena("y", ptq::kF32, {40000});
  m.Op(ptq::kConvert, "op", {from}, half);
  m.Op(ptq::kConvert, "back", {half}, to);
  m.Output(to);
  m.Output(half);
  const List<uint8_t> file = m.Finish();
  Expect(file, {Bytes(x)}, back, "convert");
  RunEverywhere(file, {Bytes(x)}, [&](const ptq_context* context) {
    SameBytes(static_cast<const Half*>(ptq_context_output(context, 1)), halves.data(),
              halves.size(), "convert to half");
  });
}

void TestRefusals() {
  const auto refuse = [](uint16_t kind, ptq::DType x_dtype, ptq::DType y_dtype, const auto& attrs,
                         const char* words) {
    Row("f16 refusal: %s", words);
    ModelBuilder m;
    const uint32_t x = m.Input("x", x_dtype, {1, 2, 2, 5}), y = m.Arena("y", y_dtype, {1, 2, 2, 5});
    m.Op(kind, "op", {x}, y, attrs);
    m.Output(y);
    ExpectRefused(m, words);
  };
  refuse(ptq::kSoftmax, ptq::kF16, ptq::kF16, ptq::SoftmaxAttrs{3}, "f16");
  refuse(ptq::kClamp, ptq::kF16, ptq::kF32, kNone, "dtype: f32");
  refuse(ptq::kClamp, ptq::kF32, ptq::kF16, kNone, "dtype: f16");
  refuse(ptq::kUnary, ptq::kF16, ptq::kF32, ptq::UnaryAttrs{ptq::kUnaryExp, 0, 0, kNone}, "dtype");
  const auto refuse_convert = [](ptq::DType from, ptq::DType to, const char* words) {
    Row("convert refusal: %s", words);
    ModelBuilder m;
    const uint32_t x = m.Input("x", from, {5}), y = m.Arena("y", to, {5});
    m.Op(ptq::kConvert, "op", {x}, y);
    m.Output(y);
    ExpectRefused(m, words);
  };
  refuse_convert(ptq::kF16, ptq::kF16, "output 'y' dtype: f16");
  refuse_convert(ptq::kF32, ptq::kF32, "output 'y' dtype: f32");
  refuse_convert(ptq::kI32, ptq::kF16, "x 'x' dtype: i32");
  Row("f16 weights of a float convolution");
  const List<Half> w(5);
  ModelBuilder m;
  const uint32_t x = m.Input("x", ptq::kF32, {1, 5}),
                 tw = m.Constant("w", ptq::kF16, {1, 5}, w.data()),
                 y = m.Arena("y", ptq::kF32, {1, 1});
  m.Op(ptq::kFullyConnected, "op", {x, tw}, y, kNone);
  m.Output(y);
  ExpectRefused(m, "dtype");
}

// Portable kernels, which a tailored runtime always has, are not for f16. What this build has no
// kernels for stands for what was left out.
void TestWithoutKernels() {
#if !defined(__aarch64__)
  const auto refuse = [](ModelBuilder& m, const char* name) {
    Row("without f16 kernels: %s", name);
    const List<uint8_t> file = m.Finish();
    ptq_program program;
    CHECK(program.LoadMemory(file.data(), file.size(), ptq::kCpuFp16) == PTQ_UNSUPPORTED);
    CHECK(strstr(ptq_last_error(), "has no kernel of f16 in this runtime, which was tailored"));
  };
  for (const uint32_t groups : {1u, 4u}) {
    const List<Half> w(16);
    ModelBuilder m;
    const uint32_t x = m.Input("x", ptq::kF16, {1, 3, 3, 4}),
                   tw = m.Constant("w", ptq::kF16, {4, 1, 1, 4 / groups}, w.data()),
                   y = m.Arena("y", ptq::kF16, {1, 3, 3, 4});
    m.Op(ptq::kConv2d, "op", {x, tw}, y, ptq::Conv2dAttrs{1, 1, 1, 1, 0, 0, 0, 0, groups, kNone});
    m.Output(y);
    refuse(m, groups == 1 ? "conv2d" : "depthwise");
  }
  ModelBuilder m;
  const uint32_t a = m.Input("a", ptq::kF16, {3, 4}), b = m.Input("b", ptq::kF16, {4, 2}),
                 y = m.Arena("y", ptq::kF16, {3, 2});
  m.Op(ptq::kMatmul, "op", {a, b}, y, ptq::MatmulAttrs{0, kNone});
  m.Output(y);
  refuse(m, "matmul");
#endif
}

// The comparator tells a result that is one step of half precision beyond the bound.
void TestBound() {
  const Half half = ptq::ToHalf(1.0f + 16 * 0x1p-10f);
  const double one = 1;
  CHECK(Fails([&] { WithinBound(&half, &one, &one, 0, 1, "half"); }));
}

}  // namespace

int main() {
  TestConvs();
  TestBinary();
  TestPools();
  TestElementwise();
  TestMoves();
  TestConvert();
  TestRefusals();
  TestWithoutKernels();
  TestBound();
  return Finish("half_test");
}
