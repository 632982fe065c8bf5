// conv2d_add against conv2d and add in the same program: both must give the same bytes.
#include <math.h>

#include "test/support/compare.h"
#include "test/support/model_builder.h"
#include "test/support/random.h"
#include "test/support/runner.h"

namespace {

using namespace ptq_test;

struct Case {
  uint32_t n, h, w, c, o, kernel, stride, pad, groups;
};

constexpr Case kCases[] = {
    {1, 1, 1, 1, 1, 1, 1, 0, 1},      // a single product
    {1, 7, 7, 24, 40, 1, 1, 0, 1},    // pointwise
    {2, 5, 6, 17, 33, 1, 1, 0, 1},    // odd everything
    {1, 9, 8, 16, 100, 5, 1, 1, 1},   // more than one panel of channels
    {1, 9, 8, 16, 160, 3, 1, 1, 1},   // the same, winograd
    {2, 7, 5, 33, 17, 3, 1, 1, 1},    // winograd, odd everything
    {1, 8, 9, 3, 20, 3, 2, 1, 1},     // patches
    {1, 6, 6, 12, 8, 3, 1, 1, 4},     // groups
    {1, 7, 6, 35, 35, 3, 1, 1, 35},   // depthwise
    {1, 40, 40, 64, 64, 1, 1, 0, 1},  // enough work for all threads
    {2, 1, 2, 5000, 37, 1, 1, 0, 1},  // long sums
};

// The two ways from x and r to the same tensor.
List<uint8_t> BuildBothWays(const Case& t, ptq::DType dtype, const void* w, const void* b,
                            Random* random) {
  const bool quantized = dtype == ptq::kI8;
  const uint32_t oh = (t.h + 2 * t.pad - t.kernel) / t.stride + 1,
                 ow = (t.w + 2 * t.pad - t.kernel) / t.stride + 1;
  const float sum_scale = 0.013f * sqrtf(static_cast<float>(t.kernel * t.kernel * t.c / t.groups));
  const int sum_zero_point = quantized ? -9 : 0;
  ModelBuilder m;
  const auto qparams = [&](float scale, int zero_point) {
    return quantized ? m.Qparams(scale, zero_point) : ptq::kNone;
  };
  const Dims y_dims = {t.n, oh, ow, t.o};
  const uint32_t x = m.Input("x", dtype, {t.n, t.h, t.w, t.c}, qparams(0.02f, 3)),
                 r = m.Input("r", dtype, y_dims, qparams(0.11f, -5));
  const uint32_t qw =
      quantized ? m.Qparams(random->Floats(t.o, 0.001f, 0.02f), 0, t.o > 1 ? 0 : -1) : ptq::kNone;
  const uint32_t weights = m.Constant("w", dtype, {t.o, t.kernel, t.kernel, t.c / t.groups}, w, qw);
  const uint32_t bias =
      b == nullptr ? ptq::kNone : m.Constant("b", quantized ? ptq::kI32 : ptq::kF32, {t.o}, b);
  const ptq::Conv2dAttrs conv = {t.stride, t.stride, 1,     1,        t.pad,
                                 t.pad,    t.pad,    t.pad, t.groups, {0.0f, 6.0f, -100, 90}};
  const ptq::ClampAttrs clamp = {-1.0f, 5.0f, -120, 111};
  const float scale = quantized ? sum_scale : 1.0f;

  const uint32_t between = m.Arena("between", dtype, y_dims, qparams(sum_scale, sum_zero_point)),
                 apart = m.Arena("apart", dtype, y_dims, qparams(0.09f, 7)),
                 fused = m.Arena("fused", dtype, y_dims, qparams(0.09f, 7));
  List<uint32_t> apart_inputs = {x, weights}, fused_inputs = {x, weights, r};
  if (b != nullptr) {
    apart_inputs.Add(bias);
    fused_inputs.Add(bias);
  }
  m.Op(ptq::kConv2d, "conv", apart_inputs, between, conv);
  m.Op(ptq::kAdd, "add", {between, r}, apart, clamp);
  const ptq::Conv2dAddAttrs attrs = WithAddition(conv, scale, sum_zero_point, clamp);
  m.Op(ptq::kConv2dAdd, "both", fused_inputs, fused, attrs);
  m.Output(apart);
  m.Output(fused);
  return m.Finish();
}

template <typename T>
void TestCase(const List<T>& x, const List<T>& r, const List<uint8_t>& file) {
  RunEverywhere(file, {Bytes(x), Bytes(r)}, [&](const ptq_context* context) {
    const T* apart = static_cast<const T*>(ptq_context_output(context, 0));
    SameBytes(static_cast<const T*>(ptq_context_output(context, 1)), apart, r.size(), "conv2d_add");
    size_t distinct = 0;
    for (size_t i = 1; i < r.size(); ++i) distinct += apart[i] != apart[0];
    CHECK(distinct > 0 || r.size() == 1);
  });
}

void TestI8(const Case& t, bool bias) {
  Random random(t.c * 7 + t.o);
  const uint32_t oh = (t.h + 2 * t.pad - t.kernel) / t.stride + 1,
                 ow = (t.w + 2 * t.pad - t.kernel) / t.stride + 1;
  const List<int8_t> x = random.Int8s(t.n * t.h * t.w * t.c), r = random.Int8s(t.n * oh * ow * t.o),
                     w = random.Int8s(t.o * t.kernel * t.kernel * (t.c / t.groups), -127, 127);
  const List<int32_t> b = random.Ints(t.o, -5000, 5000);
  TestCase(x, r, BuildBothWays(t, ptq::kI8, w.data(), bias ? b.data() : nullptr, &random));
}

void TestF32(const Case& t, bool bias) {
  Random random(t.c * 7 + t.o);
  const uint32_t oh = (t.h + 2 * t.pad - t.kernel) / t.stride + 1,
                 ow = (t.w + 2 * t.pad - t.kernel) / t.stride + 1;
  const List<float> x = random.Floats(t.n * t.h * t.w * t.c),
                    r = random.Floats(t.n * oh * ow * t.o),
                    w = random.Floats(t.o * t.kernel * t.kernel * (t.c / t.groups)),
                    b = random.Floats(t.o);
  TestCase(x, r, BuildBothWays(t, ptq::kF32, w.data(), bias ? b.data() : nullptr, &random));
}

}  // namespace

int main() {
  for (const Case& t : kCases) {
    for (const bool bias : {false, true}) {
      Row("%ux%ux%u -> %u, kernel %u, bias %d", t.h, t.w, t.c, t.o, t.kernel, bias);
      TestI8(t, bias);
      TestF32(t, bias);
    }
  }
  return Finish("conv_add_test");
}
