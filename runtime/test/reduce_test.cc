// reduce, arg_max, cum_sum and window_arg_max: through the whole runtime, and the kernels of reduce
// alone.
#include <math.h>

#include "kernels/reduce/contract.h"
#include "numerics/sum_blocks.h"
#include "test/support/guarded.h"
#include "test/support/kernel_walk.h"
#include "test/support/one_op.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

constexpr ptq::ClampAttrs kNoClamp = {-INFINITY, INFINITY, -128, 127};

struct ReduceCase {
  Dims dims;
  uint32_t axes;
};

Dims Reduced(const ReduceCase& t) {
  Dims y = t.dims;
  for (uint32_t d = 0; d < y.size(); ++d) y[d] = (t.axes >> d & 1) != 0 ? 1 : y[d];
  return y;
}

// The element of y that element `index` of x belongs to.
size_t ResultOf(const ReduceCase& t, size_t index) {
  size_t result = 0, stride = 1;
  for (size_t d = t.dims.size(); d-- > 0; index /= t.dims[d]) {
    if ((t.axes >> d & 1) != 0) continue;
    result += index % t.dims[d] * stride;
    stride *= t.dims[d];
  }
  return result;
}

void TestReduceF32(const ReduceCase& t, uint32_t function, Random* random) {
  const Dims y_dims = Reduced(t);
  const size_t results = Elements(y_dims), total = Elements(t.dims), each = total / results;
  const bool product = function == ptq::kReduceProd;
  const List<float> x = product ? random->Floats(total, 0.9f, 1.1f) : random->Floats(total);
  const bool maximum = function == ptq::kReduceMax, minimum = function == ptq::kReduceMin;
  List<double> expected(results), magnitude(results);
  for (size_t i = 0; i < results; ++i)
    expected[i] = product ? 1 : maximum ? -1e9 : minimum ? 1e9 : 0;
  for (size_t i = 0; i < total; ++i) {
    const double value = static_cast<double>(x[i]);
    double* sum = &expected[ResultOf(t, i)];
    *sum = product                      ? *sum * value
           : maximum                    ? fmax(*sum, value)
           : minimum                    ? fmin(*sum, value)
           : function == ptq::kReduceL2 ? *sum + value * value
                                        : *sum + value;
    magnitude[ResultOf(t, i)] += fabs(value);
  }
  for (size_t i = 0; i < results; ++i) {
    if (function == ptq::kReduceL2) expected[i] = sqrt(expected[i]);
    if (function == ptq::kReduceMean) {
      expected[i] /= static_cast<double>(each);
      magnitude[i] /= static_cast<double>(each);
    }
    if (product || function == ptq::kReduceL2) magnitude[i] = expected[i];
    if (maximum || minimum) magnitude[i] = 0;  // exact
  }
  ExpectWithin(
      OneOp<float>(ptq::kReduce, t.dims, y_dims, ptq::ReduceAttrs{function, t.axes, kNoClamp})
          .Finish(),
      {Bytes(x)}, expected, magnitude, product ? each : ptq::Min(each, ptq::kSumRoundings),
      "reduce f32");
}

void TestReduceI8(const ReduceCase& t, uint32_t function, Random* random) {
  const Dims y_dims = Reduced(t);
  const size_t results = Elements(y_dims), total = Elements(t.dims);
  const List<int8_t> x = random->Int8s(total);
  const bool mean = function == ptq::kReduceMean, maximum = function == ptq::kReduceMax;
  const int z_in = 3, z_out = mean ? -9 : z_in;
  const float s_in = 0.1f, s_out = mean ? 0.013f : s_in;
  List<int64_t> sums(results);
  for (size_t i = 0; i < results; ++i) sums[i] = mean ? 0 : maximum ? -128 : 127;
  for (size_t i = 0; i < total; ++i) {
    int64_t* sum = &sums[ResultOf(t, i)];
    *sum = mean ? *sum + x[i] - z_in : (maximum ? x[i] > *sum : x[i] < *sum) ? x[i] : *sum;
  }
  List<int8_t> expected(results);
  for (size_t i = 0; i < results; ++i) {
    expected[i] =
        mean ? ReferenceRequantize(sums[i], s_in / (s_out * static_cast<float>(total / results)),
                                   z_out, -100, 90)
             : static_cast<int8_t>(sums[i] < -100 ? -100
                                   : sums[i] > 90 ? 90
                                                  : sums[i]);
  }
  ModelBuilder m;
  const uint32_t tx = m.Input("x", ptq::kI8, t.dims, m.Qparams(s_in, z_in)),
                 ty = m.Arena("y", ptq::kI8, y_dims, m.Qparams(s_out, z_out));
  m.Op(ptq::kReduce, "op", {tx}, ty, ptq::ReduceAttrs{function, t.axes, {0, 0, -100, 90}});
  m.Output(ty);
  Expect(m.Finish(), {Bytes(x)}, expected, "reduce i8");
}

void TestReductions() {
  Random random(51);
  const ReduceCase rows[] = {
      {{1, 7, 7, 160}, 0b0110},
      {{2, 7, 7, 19}, 0b0110},
      {{2, 3, 4, 5}, 0b0001},
      {{2, 3, 4, 5}, 0b1000},
      {{2, 3, 4, 5}, 0b1010},
      {{2, 3, 4, 5}, 0b0101},
      {{2, 3, 4, 5}, 0b1111},
      {{2, 3, 4, 5}, 0},
      {{1, 1, 1, 1}, 0b1111},
      {{1, 9, 1, 33}, 0b0100},
      {{5}, 1},
      {{}, 0},
      {{300, 700}, 0b01},
      {{300, 700}, 0b10},
      {{70000, 3}, 0b01},
      {{2, 3, 2, 3, 2, 3}, 0b010101},
      {{2, 3, 2, 3, 2, 3}, 0b101010},
  };
  for (const ReduceCase& row : rows) {
    for (uint32_t function = 0; function < ptq::kReduceFunctionCount; ++function) {
      Row("reduce %d of rank %d, axes %x", static_cast<int>(function),
          static_cast<int>(row.dims.size()), static_cast<unsigned>(row.axes));
      TestReduceF32(row, function, &random);
      if (function == ptq::kReduceMean || function == ptq::kReduceMax ||
          function == ptq::kReduceMin)
        TestReduceI8(row, function, &random);
    }
  }
  Row("clamped mean");
  const List<float> x = {1, 2, 3, -9};
  Expect(OneOp<float>(ptq::kReduce, {2, 2}, {2, 1},
                      ptq::ReduceAttrs{ptq::kReduceMean, 2, {-1.0f, 1.0f, 0, 0}})
             .Finish(),
         {Bytes(x)}, List<float>{1, -1}, "clamped mean");
}

// Values of few kinds, so that maxima are equal often.
template <typename T>
void TestArgMaxOf(const Dims& dims, uint32_t axis, Random* random) {
  const size_t total = Elements(dims), count = dims[axis];
  List<T> x(total);
  const int least = std::is_signed_v<T> ? -3 : 0;
  for (size_t i = 0; i < total; ++i) x[i] = static_cast<T>(random->Int(least, least + 6));
  size_t inner = 1;
  for (size_t d = axis + 1; d < dims.size(); ++d) inner *= dims[d];
  Dims y_dims = dims;
  y_dims[axis] = 1;
  for (uint32_t last : {0u, 1u}) {
    List<int32_t> expected(total / count);
    for (size_t i = 0; i < expected.size(); ++i) {
      const T* column = x.data() + i / inner * count * inner + i % inner;
      size_t best = 0;
      for (size_t k = 1; k < count; ++k) {
        const T value = column[k * inner], top = column[best * inner];
        if (value > top || (last == 1 && value == top)) best = k;
      }
      expected[i] = static_cast<int32_t>(best);
    }
    ModelBuilder m;
    const uint32_t q = std::is_same_v<T, int8_t> ? m.Qparams(0.1f, 3) : ptq::kNone,
                   tx = m.Input("x", DTypeOf<T>(), dims, q), ty = m.Arena("y", ptq::kI32, y_dims);
    m.Op(ptq::kArgMax, "op", {tx}, ty, ptq::ArgMaxAttrs{axis, last});
    m.Output(ty);
    Expect(m.Finish(), {Bytes(x)}, expected, "arg_max");
  }
}

void TestArgMax() {
  Random random(52);
  const struct {
    Dims dims;
    uint32_t axis;
  } rows[] = {{{1, 9, 9, 21}, 3}, {{2, 5, 7, 3}, 1}, {{2, 19, 100}, 1}, {{1}, 0},
              {{4, 1, 3}, 1},     {{1, 1000}, 1},    {{3, 2, 2}, 0},    {{1, 80, 80, 19}, 3}};
  for (const auto& row : rows) {
    Row("arg_max of rank %d, axis %d", static_cast<int>(row.dims.size()),
        static_cast<int>(row.axis));
    TestArgMaxOf<float>(row.dims, row.axis, &random);
    TestArgMaxOf<int8_t>(row.dims, row.axis, &random);
    TestArgMaxOf<int32_t>(row.dims, row.axis, &random);
    TestArgMaxOf<int64_t>(row.dims, row.axis, &random);
    TestArgMaxOf<uint8_t>(row.dims, row.axis, &random);
  }
}

// Kernels alone, on memory that ends at a guard page. The sums are small integers: exact.
template <typename T, typename Sum, typename Kernel>
void TestReduceKernel(const Kernel& kernel) {
  Random random(53);
  for (size_t columns = 1; columns <= 100; columns += columns < 40 ? 1 : 13) {
    const size_t most = std::is_same_v<T, float> ? ptq::kSumBlock : 300;  // rows of a call
    for (size_t rows : {size_t{1}, size_t{2}, most}) {
      const size_t stride = columns + 3;
      List<T> values((rows - 1) * stride + columns);
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(random.Int(-128, 127));
      const Guarded<T> x(values, 0);
      for (ptq::Reduction reduction :
           {ptq::Reduction::kSum, ptq::Reduction::kMax, ptq::Reduction::kMin}) {
        const auto join = [&](Sum sum, T value) {
          const Sum wide = static_cast<Sum>(value);
          return reduction == ptq::Reduction::kSum   ? sum + wide
                 : reduction == ptq::Reduction::kMax ? (wide > sum ? wide : sum)
                                                     : (wide < sum ? wide : sum);
        };
        Guarded<Sum> sums(columns);
        List<Sum> expected(columns);
        Sum row = 5;
        for (size_t c = 0; c < columns; ++c) {
          sums[c] = expected[c] = 5;
          for (size_t r = 0; r < rows; ++r) expected[c] = join(expected[c], values[r * stride + c]);
          row = join(row, values[c]);
        }
        kernel.columns({reduction, x.data(), stride, rows, columns, sums.data()});
        SameBytes(sums.data(), expected.data(), columns, "columns");
        const T* last = x.data() + values.size() - columns;
        Sum last_row = 5;
        for (size_t c = 0; c < columns; ++c) last_row = join(last_row, last[c]);
        CHECK(kernel.row(reduction, last, columns, 5) == last_row);
        CHECK(kernel.row(reduction, x.data(), columns, 5) == row);
      }
    }
  }
}

void TestRefusals() {
  const auto refuse = [](const Dims& y, const ptq::ReduceAttrs& attrs, const char* words) {
    Row("reduce refusal: %s", words);
    ExpectRefused(OneOp<float>(ptq::kReduce, {2, 5}, y, attrs), words);
    ExpectRefused(OneOp<int8_t>(ptq::kReduce, {2, 5}, y, attrs), words);
  };
  refuse({2, 1}, {6, 2, kNoClamp}, "function: 6");
  refuse({2, 1}, {0, 4, kNoClamp}, "axes: 0x4");
  refuse({2, 1}, {0, 0x80000002, kNoClamp}, "axes: 0x80000002");
  refuse({2, 5}, {0, 2, kNoClamp}, "dims[1]: 5 instead of 1");
  refuse({1, 1}, {0, 2, kNoClamp}, "dims[0]: 1 instead of 2");
  refuse({2}, {0, 2, kNoClamp}, "rank");
  refuse({2, 1}, {0, 2, {0, 0, 5, 4}}, "q_min 5");
  Row("reduce refusals of int8");
  ExpectRefused(OneOp<int8_t>(ptq::kReduce, {2, 5}, {2, 1}, ptq::ReduceAttrs{1, 2, kNoClamp}),
                "function: 1 has no i8 form");
  ExpectRefused(
      OneOp<int8_t>(ptq::kReduce, {1, (1u << 22) + 1}, {1, 1}, ptq::ReduceAttrs{0, 2, kNoClamp}),
      "a mean of 4194305 int8");
  Row("arg_max refusals");
  const auto refuse_arg_max = [](const ptq::ArgMaxAttrs& attrs, ptq::DType dtype, const Dims& y,
                                 const char* words) {
    ModelBuilder m;
    const uint32_t tx = m.Input("x", ptq::kF32, Dims{2, 5}), ty = m.Arena("y", dtype, y);
    m.Op(ptq::kArgMax, "op", {tx}, ty, attrs);
    m.Output(ty);
    ExpectRefused(m, words);
  };
  refuse_arg_max({2, 0}, ptq::kI32, {2, 1}, "axis: 2");
  refuse_arg_max({1, 2}, ptq::kI32, {2, 1}, "select_last: 2");
  refuse_arg_max({1, 0}, ptq::kI32, {2, 5}, "dims[1]: 5 instead of 1");
  refuse_arg_max({1, 0}, ptq::kF32, {2, 1}, "output 'y' dtype");
}

template <typename T>
void TestCumSum(ptq::DType dtype, const ptq::CumSumAttrs& attrs, const List<T>& x,
                const List<T>& y) {
  Row("cum_sum of %d along %d, exclusive %d, reverse %d", dtype, static_cast<int>(attrs.axis),
      static_cast<int>(attrs.exclusive), static_cast<int>(attrs.reverse));
  ModelBuilder m;
  const Dims dims = {2, static_cast<uint32_t>(x.size()) / 2};
  const uint32_t tx = m.Input("x", dtype, dims), ty = m.Arena("y", dtype, dims);
  m.Op(ptq::kCumSum, "op", {tx}, ty, attrs);
  m.Output(ty);
  Expect(m.Finish(), {Bytes(x)}, y, "cum_sum");
}

void TestCumSums() {
  const List<int32_t> x = {1, INT32_MAX, 3, INT32_MIN, -5, 6};
  const int32_t over = INT32_MIN;  // INT32_MAX + 1
  TestCumSum<int32_t>(ptq::kI32, {1, 0, 0}, x,
                      {1, over, over + 3, INT32_MIN, INT32_MAX - 4, over + 1});
  TestCumSum<int32_t>(ptq::kI32, {0, 1, 0}, x, {0, 0, 0, 1, INT32_MAX, 3});
  TestCumSum<int32_t>(ptq::kI32, {0, 0, 1}, x, {over + 1, INT32_MAX - 5, 9, INT32_MIN, -5, 6});
  TestCumSum<int64_t>(ptq::kI64, {1, 1, 1}, {1, 2, 3, INT64_MAX, 1, 1}, {5, 3, 0, 2, 1, 0});
  // The sums are rounded once: 2^24 + 1 is not a float, 2^24 + 2 is.
  TestCumSum<float>(ptq::kF32, {1, 0, 0}, {16777216.0f, 1.0f, 1.0f, 0.5f, -0.25f, INFINITY},
                    {16777216.0f, 16777216.0f, 16777218.0f, 0.5f, 0.25f, INFINITY});
  const List<float> zeros = {-0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f};
  TestCumSum<float>(ptq::kF32, {1, 0, 0}, zeros, {-0.0f, -0.0f, 0.0f, -0.0f, 0.0f, 0.0f});
  Row("cum_sum refusals");
  ExpectRefused(OneOp<float>(ptq::kCumSum, {2, 3}, {2, 3}, ptq::CumSumAttrs{2, 0, 0}), "axis: 2");
  ExpectRefused(OneOp<float>(ptq::kCumSum, {2, 3}, {2, 3}, ptq::CumSumAttrs{1, 2, 0}), "exclusive");
  ExpectRefused(OneOp<float>(ptq::kCumSum, {2, 3}, {2, 1}, ptq::CumSumAttrs{1, 0, 0}), "dims[1]");
}

ptq::WindowArgMaxAttrs Windows(uint32_t kernel, uint32_t stride, uint32_t dilation,
                               uint32_t before) {
  return {{1, kernel}, {1, stride}, {1, dilation}, {0, before}};
}

template <typename T>
void TestWindowArgMax(ptq::DType dtype, const ptq::WindowArgMaxAttrs& attrs, const List<T>& x,
                      const List<int64_t>& y) {
  Row("window_arg_max of %d", dtype);
  ModelBuilder m;
  const uint32_t q = dtype == ptq::kI8 ? m.Qparams(0.1f, 3) : ptq::kNone,
                 tx = m.Input("x", dtype, {2, static_cast<uint32_t>(x.size()) / 2}, q),
                 ty = m.Arena("y", ptq::kI64, {2, static_cast<uint32_t>(y.size()) / 2});
  m.Op(ptq::kWindowArgMax, "op", {tx}, ty, attrs);
  m.Output(ty);
  Expect(m.Finish(), {Bytes(x)}, y, "window_arg_max");
}

void TestWindowArgMaxes() {
  TestWindowArgMax<float>(ptq::kF32, Windows(3, 2, 1, 1),
                          {1, 2, NAN, NAN, 2, -INFINITY, NAN, NAN, NAN, 3}, {1, 1, 4, 5, 6, 9});
  TestWindowArgMax<int8_t>(ptq::kI8, Windows(2, 1, 2, 0), {-128, 5, -128, 7, 1, 1, 1, 1},
                           {0, 3, 4, 5});
  TestWindowArgMax<int64_t>(ptq::kI64, Windows(4, 3, 1, 0), {INT64_MIN, 0, INT64_MAX, 9}, {1, 2});
  TestWindowArgMax<uint8_t>(ptq::kU8, Windows(2, 2, 1, 0), {200, 3, 100, 200}, {0, 3});
  Row("window_arg_max refusals");
  const auto refuse = [](const ptq::WindowArgMaxAttrs& attrs, uint32_t outputs, const char* words) {
    ModelBuilder m;
    const uint32_t tx = m.Input("x", ptq::kF32, Dims{2, 5}),
                   ty = m.Arena("y", ptq::kI64, Dims{2, outputs});
    m.Op(ptq::kWindowArgMax, "op", {tx}, ty, attrs);
    m.Output(ty);
    ExpectRefused(m, words);
  };
  refuse(Windows(0, 1, 1, 0), 5, "kernel[1]: 0");
  refuse(Windows(2, 0, 1, 0), 5, "stride[1]: 0");
  refuse(Windows(2, 1, 0, 0), 5, "dilation[1]: 0");
  refuse(Windows(2, 1, 1, 65536), 5, "before[1]: 65536");
  refuse(Windows(2, 2, 1, 2), 3, "dimension 1: the window of output 0 lies wholly in the padding");
  refuse(Windows(2, 2, 1, 0), 4, "dimension 1: the window of output 3 lies wholly in the padding");
  ptq::WindowArgMaxAttrs large = Windows(65535, 1, 1, 0);
  large.kernel[0] = 65;
  refuse(large, 1, "more than 4194304 elements");
}

}  // namespace

int main() {
  TestReductions();
  TestArgMax();
  WalkList("reduce f32", ptq::kReduceF32Kernels,
           TestReduceKernel<float, float, ptq::ReduceF32Kernel>);
  WalkList("reduce i8", ptq::kReduceI8Kernels,
           TestReduceKernel<int8_t, int32_t, ptq::ReduceI8Kernel>);
  TestRefusals();
  TestCumSums();
  TestWindowArgMaxes();
  return Finish("reduce_test");
}
