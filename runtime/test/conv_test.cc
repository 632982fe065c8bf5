// conv2d and fully_connected through the whole runtime against seven plain loops: int8 bit for bit,
// float within the bound.
#include <math.h>

#include "numerics/sum_blocks.h"
#include "ops/conv_prepare.h"
#include "test/support/compare.h"
#include "test/support/model_builder.h"
#include "test/support/random.h"
#include "test/support/runner.h"
#include "test/support/winograd.h"

namespace {

using namespace ptq_test;

struct ConvCase {
  uint32_t n, h, w, c, o, kh, kw;
  uint32_t sh, sw, dh, dw;
  uint32_t pt, pl, pb, pr;
  uint32_t groups;
};

constexpr ConvCase kCases[] = {
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},     // a single product
    {1, 1, 1, 5, 3, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},     // 1x1 picture
    {2, 5, 7, 3, 9, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},     // batch, odd everything
    {1, 8, 8, 16, 24, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},   // pointwise
    {1, 9, 9, 7, 5, 1, 1, 3, 3, 1, 1, 0, 0, 0, 0, 1},     // stride > kernel
    {1, 7, 6, 4, 6, 3, 2, 2, 1, 1, 1, 0, 1, 2, 0, 1},     // asymmetric padding
    {1, 11, 10, 3, 4, 3, 3, 1, 2, 3, 2, 2, 3, 1, 0, 1},   // dilation
    {1, 6, 6, 12, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 4},    // groups
    {1, 5, 5, 6, 18, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 6},    // depthwise with multiplier 3
    {1, 7, 7, 1, 1, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1},     // one channel
    {1, 6, 7, 17, 17, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 17},  // depthwise, tail of one channel
    {2, 5, 4, 16, 16, 3, 3, 2, 2, 1, 1, 0, 0, 1, 1, 16},  // depthwise, whole block
    {1, 9, 8, 35, 35, 5, 3, 1, 2, 2, 1, 4, 0, 3, 2, 35},  // depthwise, dilation, asymmetric
    {1, 3, 3, 2, 2, 3, 3, 1, 1, 1, 1, 2, 2, 2, 2, 2},     // windows mostly in the padding
    {1, 2, 2, 3, 5, 2, 2, 1, 1, 1, 1, 3, 3, 3, 3,
     1},  // windows wholly in the padding (allowed for conv2d)
    {1, 40, 40, 8, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},     // enough work for all threads
    {1, 40, 40, 48, 48, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 48},   // likewise, depthwise
    {5, 1, 1, 33, 10, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},      // a fully connected layer in disguise
    {1, 1, 1, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},      // winograd: a single pixel
    {2, 5, 7, 17, 33, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},      // winograd: batch, odd everything
    {1, 6, 5, 24, 70, 3, 3, 1, 1, 1, 1, 0, 3, 2, 1, 1},      // winograd: asymmetric padding
    {1, 3, 4, 31, 16, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0, 1},      // winograd: one row of output
    {1, 2, 2, 16, 19, 3, 3, 1, 1, 1, 1, 4, 5, 5, 4, 1},      // winograd: windows in the padding
    {1, 9, 9, 16, 140, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},     // winograd: panels
    {1, 46, 46, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},    // winograd: blocks, also for threads
    {1, 3, 3, 136, 130, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},    // too few tiles for the weights
    {3, 1, 1, 5000, 37, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},    // long sums: pieces of a tap
    {1, 4, 5, 300, 70, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1},     // long sums: six taps and three
    {1, 3, 2, 4400, 20, 2, 2, 1, 1, 1, 1, 1, 0, 0, 1, 2},    // long sums: pieces of four taps
    {1, 9, 9, 15, 17, 12, 12, 1, 1, 1, 1, 2, 2, 2, 2, 1},    // long sums: lines
    {1, 25, 25, 15, 17, 12, 12, 1, 1, 2, 2, 2, 2, 2, 2, 1},  // long sums: patches
};

struct QuantCase {
  int z_in, z_out;
  bool per_channel, bias, float_output;
  int q_min, q_max;
  float output_scale;  // relative to a typical accumulator: small ones saturate
};

constexpr QuantCase kQuantCases[] = {
    {0, 0, true, true, false, -128, 127, 1.0f},
    {5, -7, true, true, false, -128, 127, 1.0f},
    {-128, 127, false, true, false, -100, 90, 0.05f},
    {127, -128, true, false, false, -128, 127, 0.2f},
    {3, 0, true, true, true, -128, 127, 1.0f},
    {-11, 4, false, false, true, -128, 127, 1.0f},
    {0, -128, false, true, false, -128, 0, 1e-6f},
    {0, 0, true, true, false, 0, 64, 100.0f},
};

uint32_t OutSize(uint32_t in, uint32_t k, uint32_t s, uint32_t d, uint32_t before, uint32_t after) {
  return (in + before + after - ((k - 1) * d + 1)) / s + 1;
}

// Calls product(output index, input index, weight index) for every product inside the picture.
template <typename Product>
void ForProducts(const ConvCase& t, uint32_t oh, uint32_t ow, Product product) {
  const int cg = static_cast<int>(t.c / t.groups), og = static_cast<int>(t.o / t.groups);
  for (uint32_t n = 0; n < t.n; ++n)
    for (uint32_t y = 0; y < oh; ++y)
      for (uint32_t x = 0; x < ow; ++x)
        for (uint32_t o = 0; o < t.o; ++o)
          for (uint32_t ky = 0; ky < t.kh; ++ky)
            for (uint32_t kx = 0; kx < t.kw; ++kx) {
              const int iy = static_cast<int>(y * t.sh + ky * t.dh) - static_cast<int>(t.pt);
              const int ix = static_cast<int>(x * t.sw + kx * t.dw) - static_cast<int>(t.pl);
              if (iy < 0 || ix < 0 || iy >= static_cast<int>(t.h) || ix >= static_cast<int>(t.w))
                continue;
              for (int c = 0; c < cg; ++c) {
                const size_t in = ((n * t.h + iy) * t.w + ix) * t.c + (o / og) * cg + c;
                product(((n * oh + y) * ow + x) * t.o + o, in,
                        ((o * t.kh + ky) * t.kw + kx) * cg + c);
              }
            }
}

bool IsFullyConnected(const ConvCase& t) {
  return t.h == 1 && t.w == 1 && t.kh == 1 && t.kw == 1 && t.groups == 1 &&
         t.pt + t.pb + t.pl + t.pr == 0;
}

// Adds the operator: as conv2d, or as fully_connected on rank 2.
List<uint8_t> BuildConv(const ConvCase& t, bool fully_connected, ModelBuilder* m, ptq::DType dtype,
                        uint32_t qx, const void* w, uint32_t qw, const void* b, ptq::DType y_dtype,
                        uint32_t qy, const ptq::ClampAttrs& clamp) {
  const uint32_t oh = OutSize(t.h, t.kh, t.sh, t.dh, t.pt, t.pb),
                 ow = OutSize(t.w, t.kw, t.sw, t.dw, t.pl, t.pr);
  const Dims x_dims = fully_connected ? Dims{t.n, t.c} : Dims{t.n, t.h, t.w, t.c};
  const Dims w_dims = fully_connected ? Dims{t.o, t.c} : Dims{t.o, t.kh, t.kw, t.c / t.groups};
  const Dims y_dims = fully_connected ? Dims{t.n, t.o} : Dims{t.n, oh, ow, t.o};
  List<uint32_t> inputs = {m->Input("x", dtype, x_dims, qx),
                           m->Constant("w", dtype, w_dims, w, qw)};
  if (b != nullptr)
    inputs.Add(m->Constant("b", dtype == ptq::kI8 ? ptq::kI32 : ptq::kF32, Dims{t.o}, b));
  const uint32_t y = m->Arena("y", y_dtype, y_dims, qy);
  if (fully_connected) {
    m->Op(ptq::kFullyConnected, "fc", inputs, y, clamp);
  } else {
    const ptq::Conv2dAttrs attrs = {t.sh, t.sw, t.dh, t.dw,     t.pt,
                                    t.pl, t.pb, t.pr, t.groups, clamp};
    m->Op(ptq::kConv2d, "conv", inputs, y, attrs);
  }
  m->Output(y);
  return m->Finish();
}

void TestInt8(const ConvCase& t, const QuantCase& q, bool fully_connected, uint64_t seed) {
  Random random(seed);
  const uint32_t oh = OutSize(t.h, t.kh, t.sh, t.dh, t.pt, t.pb),
                 ow = OutSize(t.w, t.kw, t.sw, t.dw, t.pl, t.pr);
  const size_t products = t.kh * t.kw * (t.c / t.groups), y_size = t.n * oh * ow * t.o;
  const List<int8_t> x = random.Int8s(t.n * t.h * t.w * t.c),
                     w = random.Int8s(t.o * products, -127, 127);
  const List<int32_t> b = random.Ints(t.o, -5000, 5000);
  const float s_in = 0.0173f;
  List<float> s_w = {0.011f};
  if (q.per_channel) s_w = random.Floats(t.o, 0.001f, 0.02f);
  const float s_out = q.output_scale * s_in * 0.01f * 100.0f * sqrtf(static_cast<float>(products));

  List<int64_t> accumulators(y_size);
  if (q.bias) {
    for (size_t i = 0; i < y_size; ++i) accumulators[i] = b[i % t.o];
  }
  ForProducts(t, oh, ow,
              [&](size_t y, size_t in, size_t k) { accumulators[y] += (x[in] - q.z_in) * w[k]; });

  ModelBuilder m;
  const uint32_t qx = m.Qparams(s_in, q.z_in), qw = m.Qparams(s_w, 0, s_w.size() > 1 ? 0 : -1);
  const uint32_t qy = q.float_output ? ptq::kNone : m.Qparams(s_out, q.z_out);
  const ptq::ClampAttrs clamp = {-3.5f, 7.25f, q.q_min, q.q_max};
  const List<uint8_t> file =
      BuildConv(t, fully_connected, &m, ptq::kI8, qx, w.data(), qw, q.bias ? b.data() : nullptr,
                q.float_output ? ptq::kF32 : ptq::kI8, qy, clamp);
  if (q.float_output) {
    List<float> expected(y_size);
    for (size_t i = 0; i < y_size; ++i) {
      const float scale = s_in * s_w[s_w.size() > 1 ? i % t.o : 0];
      expected[i] =
          fminf(fmaxf(static_cast<float>(static_cast<int32_t>(accumulators[i])) * scale, clamp.lo),
                clamp.hi);
    }
    RunEverywhere(file, {Bytes(x)}, [&](const ptq_context* context) {
      SameBytes(static_cast<const float*>(ptq_context_output(context, 0)), expected.data(), y_size,
                "i8 conv, f32 output");
    });
    return;
  }
  List<int8_t> expected(y_size);
  for (size_t i = 0; i < y_size; ++i) {
    const float scale = s_in * s_w[s_w.size() > 1 ? i % t.o : 0];
    expected[i] = ReferenceRequantize(accumulators[i], scale / s_out, q.z_out, q.q_min, q.q_max);
  }
  RunEverywhere(file, {Bytes(x)}, [&](const ptq_context* context) {
    SameBytes(static_cast<const int8_t*>(ptq_context_output(context, 0)), expected.data(), y_size,
              "i8 conv");
  });
}

void TestFloat(const ConvCase& t, bool bias, float lo, float hi, bool fully_connected,
               uint64_t seed) {
  Random random(seed);
  const uint32_t oh = OutSize(t.h, t.kh, t.sh, t.dh, t.pt, t.pb),
                 ow = OutSize(t.w, t.kw, t.sw, t.dw, t.pl, t.pr);
  const size_t products = t.kh * t.kw * (t.c / t.groups), y_size = t.n * oh * ow * t.o;
  const List<float> x = random.Floats(t.n * t.h * t.w * t.c), w = random.Floats(t.o * products),
                    b = random.Floats(t.o);
  List<double> expected(y_size), magnitude(y_size);
  if (bias) {
    for (size_t i = 0; i < y_size; ++i) {
      expected[i] = static_cast<double>(b[i % t.o]);
      magnitude[i] = fabs(expected[i]);
    }
  }
  ForProducts(t, oh, ow, [&](size_t y, size_t in, size_t k) {
    const double product = static_cast<double>(x[in]) * static_cast<double>(w[k]);
    expected[y] += product;
    magnitude[y] += fabs(product);
  });
  if (ptq::SuitsWinograd({t.n,
                          t.h,
                          t.w,
                          t.c,
                          oh,
                          ow,
                          t.o,
                          t.groups,
                          {t.kh, t.sh, t.dh, t.pt, t.pb},
                          {t.kw, t.sw, t.dw, t.pl, t.pr}})) {
    CoverWinograd({t.n, t.h, t.w, t.c, t.o, t.pt, t.pl, oh, ow}, x.data(), w.data(),
                  bias ? b.data() : nullptr, magnitude.data());
  }
  for (size_t i = 0; i < y_size; ++i)
    expected[i] = fmin(fmax(expected[i], static_cast<double>(lo)), static_cast<double>(hi));
  ModelBuilder m;
  const List<uint8_t> file =
      BuildConv(t, fully_connected, &m, ptq::kF32, ptq::kNone, w.data(), ptq::kNone,
                bias ? b.data() : nullptr, ptq::kF32, ptq::kNone, {lo, hi, -128, 127});
  List<float> first;  // of an instruction set
  char first_cpu[32] = "none";
  RunEverywhere(file, {Bytes(x)}, [&](const ptq_context* context) {
    const float* y = static_cast<const float*>(ptq_context_output(context, 0));
    WithinBound(y, expected.data(), magnitude.data(), ptq::ProductRoundings(products), y_size,
                "f32 conv");
    const char* cpu = getenv("PTQ_CPU");
    if (cpu == nullptr) cpu = "";
    if (strcmp(cpu, first_cpu) != 0) {
      snprintf(first_cpu, sizeof first_cpu, "%s", cpu);
      first = List<float>();
      first.Append(y, y_size);
    }
    SameBytes(y, first.data(), y_size, "f32 conv, other thread count");
  });
}

}  // namespace

int main() {
  uint64_t seed = 1;
  for (size_t i = 0; i < sizeof kCases / sizeof kCases[0]; ++i) {
    for (int fully_connected = 0; fully_connected <= (IsFullyConnected(kCases[i]) ? 1 : 0);
         ++fully_connected) {
      for (size_t j = 0; j < sizeof kQuantCases / sizeof kQuantCases[0]; ++j) {
        Row("i8 case %d, quantization %d, fc %d", static_cast<int>(i), static_cast<int>(j),
            fully_connected);
        TestInt8(kCases[i], kQuantCases[j], fully_connected != 0, ++seed);
      }
      Row("f32 case %d, fc %d", static_cast<int>(i), fully_connected);
      TestFloat(kCases[i], true, -INFINITY, INFINITY, fully_connected != 0, ++seed);
      TestFloat(kCases[i], false, 0.0f, 6.0f, fully_connected != 0, ++seed);
    }
  }
  return Finish("conv_test");
}
