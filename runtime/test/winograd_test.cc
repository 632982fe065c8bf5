// Walks the winograd kernels: each one that this CPU can run, over odd numbers of channels, with
// guard pages behind what it may touch. On small integers float arithmetic is exact, and so are the
// comparisons: the transforms against their matrices, all of them together against a convolution.
#include <math.h>

#include "kernels/winograd/contract.h"
#include "kernels/winograd/error.h"
#include "kernels/winograd/pack.h"
#include "ops/conv_prepare.h"
#include "test/support/compare.h"
#include "test/support/guarded.h"
#include "test/support/kernel_walk.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

constexpr size_t kChannels[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 21, 31, 32, 33, 64, 67};
constexpr float kInputMatrix[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
constexpr float kOutputMatrix[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};

List<float> Integers(Random* random, size_t count, int largest = 100, int multiple = 1) {
  List<float> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = static_cast<float>(multiple * random->Int(-largest, largest));
  return values;
}

// A window whose pixels lie apart, the first two in the padding.
struct Window {
  Guarded<float> zeros, x;  // x: [16][channels]
  const float* pixels[16];

  Window(const List<float>& values, size_t channels) : zeros(channels), x(values, 0) {
    memset(zeros.data(), 0, channels * sizeof(float));
    for (size_t i = 0; i < 16; ++i) pixels[i] = i < 2 ? zeros.data() : x.data() + i * channels;
  }
};

void TestInput(const ptq::WinogradKernel& kernel, size_t channels) {
  Random random(channels);
  const Window window(Integers(&random, 16 * channels), channels);
  const size_t stride = channels + 3;
  // Nothing is written between the positions.
  Guarded<float> v(15 * stride + channels), expected(v.size());
  for (size_t p = 0; p < 16; ++p) {
    for (size_t c = 0; c < channels; ++c) {
      float sum = 0;
      for (size_t i = 0; i < 16; ++i)
        sum += kInputMatrix[p / 4][i / 4] * window.pixels[i][c] * kInputMatrix[p % 4][i % 4];
      expected[p * stride + c] = sum;
    }
  }
  kernel.transform_input({window.pixels, channels, v.data(), stride});
  SameBytes(v.data(), expected.data(), v.size(), "B^T d B");
}

void TestOutput(const ptq::WinogradKernel& kernel, size_t channels, float lo, float hi) {
  Random random(channels + 100);
  const size_t stride = channels + 5;
  const List<float> values = Integers(&random, 15 * stride + channels),
                    biases = Integers(&random, channels);
  const Guarded<float> sums(values, 0), bias(biases, 0);
  Guarded<float> y[2][2] = {{Guarded<float>(channels), Guarded<float>(channels)},
                            {Guarded<float>(channels), Guarded<float>(channels)}};
  kernel.transform_output({sums.data(),
                           stride,
                           channels,
                           bias.data(),
                           lo,
                           hi,
                           {{y[0][0].data(), y[0][1].data()}, {y[1][0].data(), y[1][1].data()}}});
  for (size_t i = 0; i < 4; ++i) {
    List<float> expected(channels);
    for (size_t c = 0; c < channels; ++c) {
      float sum = bias[c];
      for (size_t p = 0; p < 16; ++p)
        sum += kOutputMatrix[i / 2][p / 4] * sums[p * stride + c] * kOutputMatrix[i % 2][p % 4];
      expected[c] = fminf(fmaxf(sum, lo), hi);
    }
    SameBytes(y[i / 2][i % 2].data(), expected.data(), channels, "A^T m A + bias");
  }
}

// One tile of a convolution to one output.
void TestConvolution(const ptq::WinogradKernel& kernel, size_t channels) {
  Random random(channels + 200);
  const Window window(Integers(&random, 16 * channels), channels);
  // Multiples of 4, which are halved twice, and so small that all sums stay below 2^24.
  const List<float> filter = Integers(&random, 9 * channels, 5, 4);
  List<float> u(16 * channels), v(16 * channels);
  ptq::TransformFilters(filter.data(), channels, channels, channels, u.data());
  kernel.transform_input({window.pixels, channels, v.data(), channels});
  float m[16] = {};
  for (size_t i = 0; i < 16 * channels; ++i) m[i / channels] += u[i] * v[i];
  const float bias = 7;
  float y[2][2];
  kernel.transform_output(
      {m, 1, 1, &bias, -INFINITY, INFINITY, {{&y[0][0], &y[0][1]}, {&y[1][0], &y[1][1]}}});
  float expected[2][2];
  for (size_t i = 0; i < 4; ++i) {
    float sum = bias;
    for (size_t tap = 0; tap < 9; ++tap)
      for (size_t c = 0; c < channels; ++c)
        sum +=
            window.pixels[(i / 2 + tap / 3) * 4 + i % 2 + tap % 3][c] * filter[tap * channels + c];
    expected[i / 2][i % 2] = sum;
  }
  SameBytes(&y[0][0], &expected[0][0], 4, "a convolution");
}

void TestKernel(const ptq::WinogradKernel& kernel) {
  for (size_t channels : kChannels) {
    TestInput(kernel, channels);
    TestOutput(kernel, channels, -INFINITY, INFINITY);
    TestOutput(kernel, channels, -50, 200);
    TestConvolution(kernel, channels);
  }
  // A NaN stays one behind a clamp.
  float sums[16] = {}, y[2][2];
  sums[0] = NAN;
  const float bias = 0;
  kernel.transform_output({sums, 1, 1, &bias, 0, 6, {{&y[0][0], &y[0][1]}, {&y[1][0], &y[1][1]}}});
  CHECK(isnan(y[0][0]) && y[1][1] == 0);
}

// Which convolutions go this way.
void TestChoice() {
  const ptq::Window plain = {3, 1, 1, 1, 1}, strided = {3, 2, 1, 1, 1}, dilated = {3, 1, 2, 1, 1},
                    larger = {5, 1, 1, 2, 2};
  const struct {
    size_t batch, size, in_c, out_c, groups;
    ptq::Window h, w;
    bool suits;
  } cases[] = {
      {1, 56, 64, 64, 1, plain, plain, true},    {1, 14, 256, 256, 1, plain, plain, true},
      {1, 7, 512, 512, 1, plain, plain, false},  // 16 tiles for 16 MB of weights
      {2, 7, 512, 512, 1, plain, plain, true},   {1, 7, 64, 64, 1, plain, plain, true},
      {1, 56, 15, 64, 1, plain, plain, false},   {1, 56, 64, 15, 1, plain, plain, false},
      {1, 56, 64, 64, 2, plain, plain, false},   {1, 56, 64, 64, 1, strided, plain, false},
      {1, 56, 64, 64, 1, plain, dilated, false}, {1, 56, 64, 64, 1, larger, plain, false},
  };
  for (const auto& t : cases) {
    Row("%zu x %zu x %zu -> %zu", t.batch, t.size, t.in_c, t.out_c);
    CHECK(ptq::SuitsWinograd({t.batch, t.size, t.size, t.in_c, t.size, t.size, t.out_c, t.groups,
                              t.h, t.w}) == t.suits);
  }
}

// One weight is moved among ordinary ones.
void TestKeepsDigits() {
  Random random(61);
  constexpr size_t kOutputs = 5, kDepth = 16;
  const struct {
    float value;
    bool keeps;
  } rows[] = {{0.1f, true}, {-2, true}, {1e5f, false}, {INFINITY, false}, {NAN, false}};
  for (const auto& row : rows) {
    Row("digits beside %g", static_cast<double>(row.value));
    List<float> w = random.Floats(kOutputs * 9 * kDepth);
    w[3 * 9 * kDepth + 100] = row.value;
    CHECK(ptq::WinogradKeepsDigits(w.data(), kOutputs, kDepth) == row.keeps);
  }
  Row("digits of an output of zeros");
  const List<float> zeros(9 * kDepth);
  CHECK(ptq::WinogradKeepsDigits(zeros.data(), 1, kDepth));
}

}  // namespace

int main() {
  TestKeepsDigits();
  TestChoice();
  WalkList("winograd", ptq::kWinogradKernels, TestKernel);
  return Finish("winograd_test");
}
