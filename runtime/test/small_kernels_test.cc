// Walks the lists of the small kernel families: each kernel that this CPU can run, over odd sizes,
// against plain loops. Inputs and outputs end at guard pages; what lies before an output must stay.
#include <math.h>

#include "base/cpu_features.h"
#include "format/op_kinds.h"
#include "kernels/convert/contract.h"
#include "kernels/elementwise/contract.h"
#include "kernels/move/contract.h"
#include "kernels/pool/contract.h"
#include "kernels/softmax/contract.h"
#include "test/support/compare.h"
#include "test/support/guarded.h"
#include "test/support/kernel_walk.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

constexpr size_t kSizes[] = {1,  2,  3,  4,  5,  7,   8,   9,   15,  16,  17, 20,
                             31, 32, 33, 49, 64, 100, 127, 130, 200, 257, 600};

// `size` elements between poison and a guard page.
template <typename T>
class Output {
 public:
  explicit Output(size_t size) : memory_(kPoisoned + size) {}

  T* data() { return memory_.data() + kPoisoned; }
  void Expect(const List<T>& expected, const char* what) {
    SameBytes(data(), expected.data(), expected.size(), what);
    ExpectPoison();
  }
  void ExpectPoison() const {
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(memory_.data());
    size_t poison = 0;
    while (poison < kPoisoned * sizeof(T) && bytes[poison] == 0xFF) ++poison;
    CHECK(poison == kPoisoned * sizeof(T));
  }

 private:
  static constexpr size_t kPoisoned = 64;
  Guarded<T> memory_;
};

template <typename T>
Guarded<T> Guard(const List<T>& values) {
  return Guarded<T>(values, 0);
}

// Pointers to `count` rows of x.
template <typename T>
List<const T*> Rows(const Guarded<T>& x, size_t count, size_t channels) {
  List<const T*> rows;
  for (size_t i = 0; i < count; ++i) rows.Add(x.data() + i * channels);
  return rows;
}

void TestPoolI8(const ptq::PoolI8Kernel& kernel, bool maximum) {
  Random random(15);
  for (size_t channels : kSizes) {
    for (size_t count : {1, 4, 9, 49, 255, 256, 600}) {
      // Rows of one extreme would overflow an int16 sum of more than 256 of them.
      const int lowest = random.Int(0, 3) == 0 ? 127 : -128;
      const Guarded<int8_t> x = Guard(random.Int8s(channels * count, lowest, 127));
      const List<const int8_t*> rows = Rows(x, count, channels);
      Output<int8_t> y(channels);
      List<int8_t> expected(channels);
      const float multiplier = 1.3f / static_cast<float>(count);
      for (size_t c = 0; c < channels; ++c) {
        int64_t sum = 0;
        int best = -128;
        for (size_t i = 0; i < count; ++i) {
          sum += x[i * channels + c] - 7;
          best = x[i * channels + c] > best ? x[i * channels + c] : best;
        }
        expected[c] = maximum ? static_cast<int8_t>(best < -100 ? -100
                                                    : best > 99 ? 99
                                                                : best)
                              : ReferenceRequantize(sum, multiplier, -2, -100, 99);
      }
      kernel.run({rows.data(), count, channels, -7 * static_cast<int32_t>(count), multiplier,
                  y.data(), ptq::MakeOutputRange(-2, -100, 99), -100, 99});
      y.Expect(expected, "pool i8");
    }
  }
}

template <typename T>
void TestPoolReal(const ptq::PoolRealKernel<T>& kernel, bool maximum) {
  Random random(16);
  for (size_t channels : kSizes) {
    for (size_t count : {1, 4, 9, 49, 256}) {
      const Guarded<T> x = Guard(random.Reals<T>(channels * count));
      const List<const T*> rows = Rows(x, count, channels);
      Output<T> y(channels);
      List<double> expected(channels), magnitude(channels);
      for (size_t c = 0; c < channels; ++c) {
        double sum = 0, best = -1e9;
        for (size_t i = 0; i < count; ++i) {
          const double value = ToDouble(x[i * channels + c]);
          sum += value / static_cast<double>(count);
          magnitude[c] += maximum ? 0 : fabs(value) / static_cast<double>(count);
          best = fmax(best, value);
        }
        expected[c] = fmin(fmax(maximum ? best : sum, -1.0), 1.25);
      }
      kernel.run({rows.data(), count, channels, static_cast<float>(count), y.data(), -1.0f, 1.25f});
      WithinBound(y.data(), expected.data(), magnitude.data(), count, channels, "pool of reals");
      y.ExpectPoison();
    }
  }
}

template <typename T>
void TestTranspose(const ptq::TransposeKernel& kernel, size_t rows, size_t columns, size_t x_gap,
                   size_t y_gap) {
  Random random(17);
  const size_t x_stride = columns + x_gap, y_stride = rows + y_gap;
  List<T> values((rows - 1) * x_stride + columns);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(random.Next());
  const Guarded<T> x = Guard(values);
  Output<T> y((columns - 1) * y_stride + rows);
  List<T> expected(columns * y_stride - y_gap);
  memset(static_cast<void*>(expected.data()), 0xFF, expected.size() * sizeof(T));
  for (size_t c = 0; c < columns; ++c) {
    for (size_t r = 0; r < rows; ++r) expected[c * y_stride + r] = values[r * x_stride + c];
  }
  kernel.run({x.data(), x_stride, y.data(), y_stride, rows, columns});
  y.Expect(expected, "transpose");
}

void TestTransposes(const ptq::TransposeKernel& kernel) {
  for (size_t rows : {1, 2, 3, 4, 5, 8, 11, 16, 17, 40}) {
    for (size_t columns : {1, 2, 3, 4, 7, 8, 9, 16, 31, 49, 64, 67, 130}) {
      for (size_t gap = 0; gap < 2; ++gap) {
        if (kernel.element_size == 1) {
          TestTranspose<uint8_t>(kernel, rows, columns, gap, 3 * gap);
        } else if (kernel.element_size == 8) {
          TestTranspose<uint64_t>(kernel, rows, columns, gap, 3 * gap);
        } else {
          TestTranspose<uint32_t>(kernel, rows, columns, gap, 3 * gap);
        }
      }
    }
  }
}

void TestQuantize(const ptq::QuantizeKernel& kernel) {
  Random random(18);
  for (size_t count : kSizes) {
    for (float scale : {0.25f, 0.0217f, 1.7e-3f}) {
      List<float> x = random.Floats(count, -150 * scale, 150 * scale);
      for (size_t i = 0; i < count; i += 3)
        x[i] = scale * (static_cast<float>(random.Int(-200, 200)) + 0.5f);  // ties, or nearly
      const float extremes[] = {INFINITY, -INFINITY, 3e38f, -3e38f, NAN};
      for (float extreme : extremes) x[static_cast<size_t>(random.Int(0, 1000)) % count] = extreme;
      const Guarded<float> guarded = Guard(x);
      Output<int8_t> y(count);
      List<int8_t> expected(count);
      for (size_t i = 0; i < count; ++i)
        expected[i] = x[i] != x[i] ? -128 : ReferenceQuantize(x[i] / scale, 12, -128, 127);
      kernel.run(guarded.data(), y.data(), count, scale, ptq::MakeOutputRange(12, -128, 127));
      y.Expect(expected, "quantize");
    }
  }
}

void TestDequantize(const ptq::DequantizeKernel& kernel) {
  Random random(19);
  for (size_t count : kSizes) {
    const Guarded<int8_t> x = Guard(random.Int8s(count));
    Output<float> y(count);
    List<float> expected(count);
    for (size_t i = 0; i < count; ++i) expected[i] = static_cast<float>(x[i] + 100) * 0.037f;
    kernel.run(x.data(), y.data(), count, 0.037f, -100);
    y.Expect(expected, "dequantize");
  }
}

void TestLookup(const ptq::LookupKernel& kernel) {
  Random random(20);
  const Guarded<int8_t> table = Guard(random.Int8s(256));
  for (size_t count : kSizes) {
    const Guarded<int8_t> x = Guard(random.Int8s(count));
    Output<int8_t> y(count);
    List<int8_t> expected(count);
    for (size_t i = 0; i < count; ++i) expected[i] = table[static_cast<size_t>(x[i] + 128)];
    kernel.run(x.data(), y.data(), count, table.data());
    y.Expect(expected, "lookup");
  }
}

// Every half, and back: exact but for NaN, of which only that it is one is asked.
void TestToFloat(const ptq::ToFloatKernel& kernel) {
  List<ptq::Half> halves(65536);
  List<float> expected(65536);
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    halves[bits] = {static_cast<uint16_t>(bits)};
    const int exponent = static_cast<int>(bits >> 10 & 31),
              fraction = static_cast<int>(bits & 1023);
    const float magnitude = exponent == 31 ? fraction == 0 ? INFINITY : NAN
                            : exponent == 0
                                ? ldexpf(static_cast<float>(fraction), -24)
                                : ldexpf(static_cast<float>(1024 + fraction), exponent - 25);
    expected[bits] = bits >> 15 != 0 ? -magnitude : magnitude;
  }
  List<float> got(65536);
  kernel.run(halves.data(), got.data(), got.size());
  size_t wrong = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const bool both_nan = isnan(got[i]) && isnan(expected[i]);
    wrong += !both_nan && memcmp(&got[i], &expected[i], sizeof(float)) != 0;
  }
  CHECK(wrong == 0);
  for (size_t count : kSizes) {
    const Guarded<ptq::Half> x = Guard(Random(count).Halves(count));
    Output<float> y(count);
    List<float> floats(count);
    for (size_t i = 0; i < count; ++i) floats[i] = ptq::ToFloat(x[i]);
    kernel.run(x.data(), y.data(), count);
    y.Expect(floats, "to float");
  }
}

// Around every half: itself, the tie with the next one, and the floats beside the tie.
void TestToHalf(const ptq::ToHalfKernel& kernel) {
  List<float> x;
  List<ptq::Half> expected;
  for (uint16_t bits = 0; bits < 0x7C00; ++bits) {  // 0 to 65504
    const uint16_t above = bits + 1;
    const float value = ptq::ToFloat({bits}),
                next = above == 0x7C00 ? 65536.0f : ptq::ToFloat({above}),
                tie = value + (next - value) / 2;
    const uint16_t even = bits % 2 == 0 ? bits : above;
    const float around[] = {value, tie, nextafterf(tie, 0), nextafterf(tie, INFINITY), -tie};
    const uint16_t minus = static_cast<uint16_t>(even | 0x8000);
    const ptq::Half rounded[] = {{bits}, {even}, {bits}, {above}, {minus}};
    x.Append(around, 5);
    expected.Append(rounded, 5);
  }
  x.Append((const float[]){INFINITY, -INFINITY, 3e38f, -70000.0f, 1e-30f, -0.0f}, 6);
  expected.Append((const ptq::Half[]){{0x7C00}, {0xFC00}, {0x7C00}, {0xFC00}, {0x0000}, {0x8000}},
                  6);
  List<ptq::Half> got(x.size());
  kernel.run(x.data(), got.data(), x.size());
  SameBytes(got.data(), expected.data(), got.size(), "to half");
  const float nan = NAN;
  kernel.run(&nan, got.data(), 1);
  CHECK(isnan(ptq::ToFloat(got[0])));
  for (size_t count : kSizes) {
    const Guarded<float> floats = Guard(Random(count).Floats(count));
    Output<ptq::Half> y(count);
    List<ptq::Half> halves(count);
    for (size_t i = 0; i < count; ++i) halves[i] = ptq::ToHalf(floats[i]);
    kernel.run(floats.data(), y.data(), count);
    y.Expect(halves, "to half");
  }
}

// Runs a binary kernel on rows with every pattern of steps, into an output of its own and into each
// operand that moves. expect(a, b) is the result of two elements.
template <typename T, typename Run, typename Expect>
void TestBinary(const List<T>& a, const List<T>& b, Run run, Expect expect, const char* what) {
  const size_t count = a.size();
  for (size_t steps = 0; steps < 4; ++steps) {
    const size_t a_step = steps & 1, b_step = steps >> 1;
    List<T> expected(count), a_values, b_values;
    for (size_t i = 0; i < count; ++i) expected[i] = expect(a[i * a_step], b[i * b_step]);
    a_values.Append(a.data(), a_step == 0 ? 1 : count);
    b_values.Append(b.data(), b_step == 0 ? 1 : count);
    Guarded<T> a_guarded = Guard(a_values), b_guarded = Guard(b_values);
    Output<T> y(count);
    run(a_guarded.data(), a_step, b_guarded.data(), b_step, y.data());
    y.Expect(expected, what);
    if (a_step != 0) {
      run(a_guarded.data(), a_step, b_guarded.data(), b_step, a_guarded.data());
      SameBytes(a_guarded.data(), expected.data(), count, what);
    } else if (b_step != 0) {
      run(a_guarded.data(), a_step, b_guarded.data(), b_step, b_guarded.data());
      SameBytes(b_guarded.data(), expected.data(), count, what);
    }
  }
}

void TestBinaryI8(const ptq::BinaryI8Kernel& kernel) {
  Random random(21);
  const float ma = kernel.op == ptq::kMul ? 0.0171f : 0.71f, mb = 1.93f;
  const auto expect = [&](int8_t a, int8_t b) {
    const int left = a - 3, right = b + 9;
    const float scaled_left = static_cast<float>(left) * ma,
                scaled_right = static_cast<float>(right) * mb;
    const float value = kernel.op == ptq::kAdd   ? scaled_left + scaled_right
                        : kernel.op == ptq::kSub ? scaled_left - scaled_right
                                                 : static_cast<float>(left * right) * ma;
    return ReferenceQuantize(value, 5, -128, 100);
  };
  for (size_t count : kSizes) {
    const auto run = [&](const int8_t* a, size_t a_step, const int8_t* b, size_t b_step,
                         int8_t* y) {
      kernel.run(
          {a, b, a_step, b_step, y, count, 3, -9, ma, mb, ptq::MakeOutputRange(5, -128, 100)});
    };
    TestBinary(random.Int8s(count), random.Int8s(count), run, expect, "binary i8");
  }
}

// The float result, rounded: for two halves that is the exact result rounded once, since a float
// has more than twice the digits (Figueroa, "When is double rounding innocuous?", 1995).
template <typename T>
void TestBinaryReal(const ptq::BinaryRealKernel<T>& kernel) {
  Random random(22);
  const auto expect = [&](T a, T b) {
    const float value = ReferenceBinary(kernel.op, static_cast<float>(ToDouble(a)),
                                        static_cast<float>(ToDouble(b)));
    return Real<T>::From(fminf(fmaxf(value, -1.5f), 1.5f));
  };
  for (size_t count : kSizes) {
    const auto run = [&](const T* a, size_t a_step, const T* b, size_t b_step, T* y) {
      kernel.run({a, b, a_step, b_step, y, count, -1.5f, 1.5f});
    };
    const float lowest = kernel.op == ptq::kPow ? 0.0f : -2.0f;
    TestBinary(random.Reals<T>(count, lowest, 2), random.Reals<T>(count, 0.5f, 2), run, expect,
               "binary of reals");
  }
}

template <typename T>
void TestClamp(const ptq::ClampRealKernel<T>& kernel) {
  Random random(23);
  for (size_t count : kSizes) {
    const Guarded<T> x = Guard(random.Reals<T>(count));
    Output<T> y(count);
    List<T> expected(count);
    for (size_t i = 0; i < count; ++i) {
      const float value = static_cast<float>(ToDouble(x[i]));
      expected[i] = Real<T>::From(fminf(fmaxf(value, -0.3f), 1.5f));
    }
    kernel.run(x.data(), y.data(), count, -0.3f, 1.5f);
    y.Expect(expected, "clamp");
  }
}

void TestSoftmax(const ptq::SoftmaxKernel& kernel) {
  Random random(24);
  for (size_t count : kSizes) {
    for (size_t stride : {1, 3}) {
      const size_t size = (count - 1) * stride + 1;
      const Guarded<float> x = Guard(random.Floats(size, -90, 90));
      Output<float> y(size);
      List<float> got(count);
      List<double> expected(count), magnitude(count);
      double maximum = -1e9, sum = 0;
      for (size_t i = 0; i < count; ++i)
        maximum = fmax(maximum, static_cast<double>(x[i * stride]));
      for (size_t i = 0; i < count; ++i) sum += exp(static_cast<double>(x[i * stride]) - maximum);
      kernel.run(x.data(), y.data(), count, stride);
      for (size_t i = 0; i < count; ++i) {
        const double distance = static_cast<double>(x[i * stride]) - maximum;
        expected[i] = exp(distance) / sum;
        // The subtraction before exp rounds too: an error of 2^-24 |distance| in the exponent.
        magnitude[i] = expected[i] * (1 + fabs(distance));
        got[i] = y.data()[i * stride];
      }
      WithinBound(got.data(), expected.data(), magnitude.data(), count, count, "softmax");
      y.ExpectPoison();
    }
  }
}

// A comparator that cannot fail proves nothing.
void TestOutput() {
  CHECK(Fails([] {
    Output<int8_t> y(3);
    y.data()[-1] = 0;
    y.ExpectPoison();
  }));
}

}  // namespace

int main() {
  WalkList("max pool i8", ptq::kMaxPoolI8Kernels,
           [](const ptq::PoolI8Kernel& kernel) { TestPoolI8(kernel, true); });
  WalkList("average pool i8", ptq::kAveragePoolI8Kernels,
           [](const ptq::PoolI8Kernel& kernel) { TestPoolI8(kernel, false); });
  WalkList("max pool f32", ptq::kMaxPoolF32Kernels,
           [](const ptq::PoolF32Kernel& kernel) { TestPoolReal(kernel, true); });
  WalkList("average pool f32", ptq::kAveragePoolF32Kernels,
           [](const ptq::PoolF32Kernel& kernel) { TestPoolReal(kernel, false); });
  WalkHalfList("max pool f16", ptq::kMaxPoolF16Kernels,
               [](const ptq::PoolF16Kernel& kernel) { TestPoolReal(kernel, true); });
  WalkHalfList("average pool f16", ptq::kAveragePoolF16Kernels,
               [](const ptq::PoolF16Kernel& kernel) { TestPoolReal(kernel, false); });
  WalkList("transpose", ptq::kTransposeKernels, TestTransposes);
  WalkList("softmax", ptq::kSoftmaxKernels, TestSoftmax);
  WalkList("quantize", ptq::kQuantizeKernels, TestQuantize);
  WalkList("dequantize", ptq::kDequantizeKernels, TestDequantize);
  WalkList("to half", ptq::kToHalfKernels, TestToHalf);
  WalkList("to float", ptq::kToFloatKernels, TestToFloat);
  WalkList("lookup", ptq::kLookupKernels, TestLookup);
  WalkList("binary i8", ptq::kBinaryI8Kernels, TestBinaryI8);
  WalkList("binary f32", ptq::kBinaryF32Kernels, TestBinaryReal<float>);
  WalkHalfList("binary f16", ptq::kBinaryF16Kernels, TestBinaryReal<ptq::Half>);
  WalkList("clamp f32", ptq::kClampF32Kernels, TestClamp<float>);
  WalkList("clamp f16", ptq::kClampF16Kernels, TestClamp<ptq::Half>);
  TestOutput();
  return Finish("small_kernels_test");
}
