// Float sums of many values. All are positive, so that the errors of one long sum would pile up.
#include <math.h>

#include "numerics/sum_blocks.h"
#include "test/support/one_op.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

constexpr ptq::ClampAttrs kNoClamp = {-INFINITY, INFINITY, -128, 127};

// Sums of f(x) over the rows of x [rows][channels].
template <typename F>
List<double> SumsOf(const List<float>& x, size_t channels, F f) {
  List<double> sums(channels);
  for (size_t c = 0; c < channels; ++c) sums[c] = 0;
  for (size_t i = 0; i < x.size(); ++i) sums[i % channels] += f(static_cast<double>(x[i]));
  return sums;
}

void TestReductions() {
  Random random(71);
  const struct {
    Dims dims;
    uint32_t axes;
    size_t channels;
  } rows[] = {{{1, 640, 640, 8}, 0b0110, 8},
              {{409600}, 0b1, 1},
              {{3, 100000}, 0b11, 1},
              {{300, 1000, 3}, 0b011, 3},
              {{300, 500, 200}, 0b011, 200}};
  for (const auto& row : rows) {
    Row("sums of %d", static_cast<int>(Elements(row.dims) / row.channels));
    const List<float> x = random.Floats(Elements(row.dims), 0.7f, 0.71f);
    Dims y = row.dims;
    for (uint32_t d = 0; d < y.size(); ++d) y[d] = (row.axes >> d & 1) != 0 ? 1 : y[d];
    const double count = static_cast<double>(x.size() / row.channels);
    for (uint32_t function : {ptq::kReduceMean, ptq::kReduceSum, ptq::kReduceL2}) {
      List<double> expected =
          SumsOf(x, row.channels, [&](double v) { return function == ptq::kReduceL2 ? v * v : v; });
      for (size_t c = 0; c < row.channels; ++c) {
        if (function == ptq::kReduceMean) expected[c] /= count;
        if (function == ptq::kReduceL2) expected[c] = sqrt(expected[c]);
      }
      const ptq::ReduceAttrs attrs = {function, row.axes, kNoClamp};
      ExpectWithin(OneOp<float>(ptq::kReduce, row.dims, y, attrs).Finish(), {Bytes(x)}, expected,
                   expected, ptq::kSumRoundings, "reduce");
    }
  }
}

void TestAveragePool() {
  Random random(72);
  for (uint32_t channels : {1u, 5u, 37u}) {
    Row("average of 300 x 401, %d channels", static_cast<int>(channels));
    const Dims x_dims = {1, 300, 401, channels};
    const List<float> x = random.Floats(Elements(x_dims), 0.7f, 0.71f);
    List<double> expected = SumsOf(x, channels, [](double v) { return v; });
    for (size_t c = 0; c < channels; ++c) expected[c] /= 300 * 401;
    const ptq::Pool2dAttrs attrs = {300, 401, 1, 1, 1, 1, 0, 0, 0, 0, 0, kNoClamp};
    const auto model = OneOp<float>(ptq::kAveragePool2d, x_dims, {1, 1, 1, channels}, attrs);
    ExpectWithin(model.Finish(), {Bytes(x)}, expected, expected, ptq::kSumRoundings, "pool");
  }
}

void TestSoftmax() {
  Random random(73);
  constexpr uint32_t kCount = 1000003;
  Row("softmax of %d", static_cast<int>(kCount));
  const List<float> x = random.Floats(kCount, 0, 0.01f);
  const double sum = SumsOf(x, 1, [](double v) { return exp(v); })[0];
  List<double> expected(kCount);
  for (size_t i = 0; i < kCount; ++i) expected[i] = exp(static_cast<double>(x[i])) / sum;
  ExpectWithin(OneOp<float>(ptq::kSoftmax, {kCount}, {kCount}, ptq::SoftmaxAttrs{0}).Finish(),
               {Bytes(x)}, expected, expected, ptq::kSumRoundings, "softmax");
}

template <typename T>
List<T> Filled(const Dims& dims, T value) {
  List<T> values(Elements(dims));
  for (size_t i = 0; i < values.size(); ++i) values[i] = value;
  return values;
}

// Convolutions of ones with one weight, for which every partial sum in the last half is rounded
// down by almost half a step. Their sums are of one sign, also in Winograd's transforms.
void TestProducts() {
  const struct {
    uint32_t in_h, in_w, kernel_h, kernel_w, channels, outputs, groups;
  } rows[] = {
      {1, 1, 1, 1, 25088, 37, 1},        // parts of a tap
      {3, 3, 3, 3, 2500, 37, 1},         // parts of taps
      {5, 5, 5, 5, 800, 37, 1},          // taps
      {40, 40, 40, 40, 8, 37, 1},        // lines
      {120, 120, 120, 120, 37, 37, 37},  // depthwise
      {1, 14400, 1, 14400, 5, 5, 5},     // likewise, one line
      {14400, 1, 14400, 1, 5, 5, 5},     // likewise, one column
  };
  for (const auto& row : rows) {
    const uint32_t depth = row.channels / row.groups, out_h = row.in_h - row.kernel_h + 1,
                   out_w = row.in_w - row.kernel_w + 1;
    const size_t products = size_t{row.kernel_h} * row.kernel_w * depth;
    Row("%d products", static_cast<int>(products));
    const Dims x_dims = {1, row.in_h, row.in_w, row.channels},
               w_dims = {row.outputs, row.kernel_h, row.kernel_w, depth},
               y_dims = {1, out_h, out_w, row.outputs};
    const float weight = 1 + 0.98f / 2048;
    const List<float> x = Filled(x_dims, 1.0f), w = Filled(w_dims, weight);
    const List<double> expected =
        Filled(y_dims, static_cast<double>(products) * static_cast<double>(weight));
    ModelBuilder m;
    const uint32_t in = m.Input("x", ptq::kF32, x_dims, ptq::kNone),
                   weights = m.Constant("w", ptq::kF32, w_dims, w.data()),
                   y = m.Arena("y", ptq::kF32, y_dims, ptq::kNone);
    m.Op(ptq::kConv2d, "conv", {in, weights}, y,
         ptq::Conv2dAttrs{1, 1, 1, 1, 0, 0, 0, 0, row.groups, kNoClamp});
    m.Output(y);
    ExpectWithin(m.Finish(), {Bytes(x)}, expected, expected, ptq::ProductRoundings(products),
                 "products");
  }
}

}  // namespace

int main() {
  TestProducts();
  TestReductions();
  TestAveragePool();
  TestSoftmax();
  return Finish("sums_test");
}
