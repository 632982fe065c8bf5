// Walks every list of kernels: each kernel that this CPU can run, over odd sizes, against plain
// loops.
#include <math.h>

#include "base/array.h"
#include "base/cpu_features.h"
#include "kernels/convert/contract.h"
#include "kernels/depthwise/contract.h"
#include "kernels/depthwise/pack.h"
#include "kernels/elementwise/contract.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/pack.h"
#include "kernels/move/contract.h"
#include "kernels/pool/contract.h"
#include "kernels/softmax/contract.h"
#include "test/support/compare.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

constexpr size_t kSizes[] = {1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 100};

// Counts kernels that ran per list, and holds the rules of a list: names end with the ISA, the last
// row runs everywhere.
template <typename Kernel, typename Test>
void WalkList(const char* list_name, const Kernel* list, size_t count, Test test) {
  size_t ran = 0;
  for (size_t i = 0; i < count; ++i) {
    Row("%s: %s", list_name, list[i].name);
    CHECK(strstr(list[i].name, "__") != nullptr);
    if ((list[i].requires_features & ~ptq::DetectCpuFeatures()) != 0) continue;
    test(list[i]);
    ++ran;
  }
  CHECK(count > 0 && ran > 0 && list[count - 1].requires_features == 0);
}

void TestGemmI8(const ptq::GemmI8Kernel& kernel) {
  Random random(11);
  for (size_t depth : kSizes) {
    for (size_t taps : {1, 2, 9}) {
      for (size_t rows : {size_t{1}, kernel.mr}) {
        for (size_t columns : {size_t{1}, kernel.nr - 1, kernel.nr}) {
          const size_t products = taps * depth;
          List<int8_t> x = random.Int8s(kernel.mr * products),
                       w = random.Int8s(columns * products, -127, 127);
          if (depth == 2) {  // the worst case of pairwise int16 sums
            for (size_t i = 0; i < x.size(); ++i) x[i] = -128;
            for (size_t i = 0; i < w.size(); ++i) w[i] = i % 2 == 0 ? -127 : w[i];
          }
          ptq::Array<int8_t> packed;
          CHECK_OK(packed.Allocate(kernel.nr * ptq::PackedGemmProducts(taps, depth, kernel.kr)));
          ptq::PackGemmWeights(w.data(), columns, taps, depth, kernel.nr, kernel.kr, packed.data());
          List<int32_t> bias(kernel.nr), folded(kernel.nr);
          List<float> multiplier(kernel.nr);
          for (size_t j = 0; j < columns; ++j) {
            bias[j] = random.Int(-9000, 9000);
            multiplier[j] = random.Float(0.0001f, 0.02f);
            folded[j] = bias[j];
            for (size_t k = 0; k < products; ++k)
              folded[j] -= kernel.input_offset * w[j * products + k];
          }
          List<const int8_t*> pointers(taps * kernel.mr);
          for (size_t tap = 0; tap < taps; ++tap) {
            for (size_t i = 0; i < kernel.mr; ++i) {
              pointers[tap * kernel.mr + i] =
                  x.data() + ((i < rows ? i : rows - 1) * taps + tap) * depth;
            }
          }
          const size_t stride = columns + 3;
          const ptq::OutputRange range = ptq::MakeOutputRange(-4, -128, 120);
          List<int8_t> y(rows * stride), expected(rows * stride);
          List<float> y_f32(rows * stride), expected_f32(rows * stride);
          for (size_t i = 0; i < rows; ++i) {
            for (size_t j = 0; j < columns; ++j) {
              int64_t sum = bias[j];
              for (size_t k = 0; k < products; ++k)
                sum += x[i * products + k] * w[j * products + k];
              expected[i * stride + j] = ReferenceRequantize(sum, multiplier[j], -4, -128, 120);
              expected_f32[i * stride + j] = fminf(static_cast<float>(sum) * multiplier[j], 50.0f);
            }
          }
          kernel.run({pointers.data(), taps, depth, packed.data(), folded.data(), multiplier.data(),
                      rows, columns, y.data(), range, nullptr, 0, 0, stride});
          SameBytes(y.data(), expected.data(), y.size(),
                    "gemm i8");  // also: nothing written beside the tile
          kernel.run({pointers.data(), taps, depth, packed.data(), folded.data(), multiplier.data(),
                      rows, columns, nullptr, range, y_f32.data(), -INFINITY, 50.0f, stride});
          SameBytes(y_f32.data(), expected_f32.data(), y.size(), "gemm i8, f32 output");
        }
      }
    }
  }
}

void TestGemmF32(const ptq::GemmF32Kernel& kernel) {
  Random random(12);
  for (size_t depth : kSizes) {
    for (size_t taps : {1, 2, 9}) {
      for (size_t columns : {size_t{1}, kernel.nr - 1, kernel.nr}) {
        const size_t products = taps * depth, rows = kernel.mr;
        const List<float> x = random.Floats(rows * products), w = random.Floats(columns * products);
        List<float> bias = random.Floats(kernel.nr), y(rows * columns);
        ptq::Array<float> packed;
        CHECK_OK(packed.Allocate(kernel.nr * products));
        ptq::PackGemmWeights(w.data(), columns, taps, depth, kernel.nr, 1, packed.data());
        List<const float*> pointers(taps * rows);
        for (size_t tap = 0; tap < taps; ++tap) {
          for (size_t i = 0; i < rows; ++i)
            pointers[tap * rows + i] = x.data() + (i * taps + tap) * depth;
        }
        List<double> expected(y.size()), magnitude(y.size());
        for (size_t i = 0; i < rows; ++i) {
          for (size_t j = 0; j < columns; ++j) {
            double sum = static_cast<double>(bias[j]), total = fabs(sum);
            for (size_t k = 0; k < products; ++k) {
              const double product = static_cast<double>(x[i * products + k]) *
                                     static_cast<double>(w[j * products + k]);
              sum += product;
              total += fabs(product);
            }
            expected[i * columns + j] = fmin(fmax(sum, -1.0), 6.0);
            magnitude[i * columns + j] = total;
          }
        }
        kernel.run({pointers.data(), taps, depth, packed.data(), bias.data(), rows, columns,
                    y.data(), columns, -1.0f, 6.0f});
        WithinBound(y.data(), expected.data(), magnitude.data(), products, y.size(), "gemm f32");
      }
    }
  }
}

// One pixel of a depthwise convolution in both precisions' types.
template <typename T>
struct DepthwiseData {
  List<T> x, w;
  List<const T*> rows;
  ptq::Array<T> packed;
  size_t stride;

  DepthwiseData(const List<T>& x_values, const List<T>& w_values, size_t channels, size_t taps)
      : x(x_values), w(w_values) {
    stride = (channels + ptq::kDepthwiseChannelBlock - 1) / ptq::kDepthwiseChannelBlock *
             ptq::kDepthwiseChannelBlock;
    CHECK_OK(packed.Allocate(stride * taps));
    ptq::PackDepthwiseWeights(w.data(), channels, taps, stride, packed.data());
    for (size_t tap = 0; tap < taps; ++tap) rows.Add(x.data() + tap * channels);
  }
};

void TestDepthwiseI8(const ptq::DepthwiseI8Kernel& kernel) {
  Random random(13);
  for (size_t channels : kSizes) {
    for (size_t taps : {1, 9, 25}) {
      const DepthwiseData<int8_t> d(random.Int8s(channels * taps),
                                    random.Int8s(channels * taps, -127, 127), channels, taps);
      List<int32_t> bias(d.stride);
      List<float> multiplier(d.stride), y_f32(channels), expected_f32(channels);
      List<int8_t> y(channels + 1),
          expected(channels + 1);  // one more: nothing may be written beyond
      for (size_t c = 0; c < channels; ++c) {
        bias[c] = random.Int(-3000, 3000);
        multiplier[c] = random.Float(0.001f, 0.02f);
        int64_t sum = bias[c];
        for (size_t tap = 0; tap < taps; ++tap)
          sum += d.x[tap * channels + c] * d.w[c * taps + tap];
        expected[c] = ReferenceRequantize(sum, multiplier[c], 9, -120, 127);
        expected_f32[c] = fmaxf(static_cast<float>(sum) * multiplier[c], 0.0f);
      }
      const ptq::OutputRange range = ptq::MakeOutputRange(9, -120, 127);
      kernel.run({d.rows.data(), taps, channels, d.packed.data(), d.stride, bias.data(),
                  multiplier.data(), y.data(), range, nullptr, 0, 0});
      SameBytes(y.data(), expected.data(), y.size(), "depthwise i8");
      kernel.run({d.rows.data(), taps, channels, d.packed.data(), d.stride, bias.data(),
                  multiplier.data(), nullptr, range, y_f32.data(), 0.0f, INFINITY});
      SameBytes(y_f32.data(), expected_f32.data(), channels, "depthwise i8, f32 output");
    }
  }
}

void TestDepthwiseF32(const ptq::DepthwiseF32Kernel& kernel) {
  Random random(14);
  for (size_t channels : kSizes) {
    for (size_t taps : {1, 9, 25}) {
      const DepthwiseData<float> d(random.Floats(channels * taps), random.Floats(channels * taps),
                                   channels, taps);
      List<float> bias = random.Floats(d.stride), y(channels);
      List<double> expected(channels), magnitude(channels);
      for (size_t c = 0; c < channels; ++c) {
        expected[c] = static_cast<double>(bias[c]);
        magnitude[c] = fabs(expected[c]);
        for (size_t tap = 0; tap < taps; ++tap) {
          const double product = static_cast<double>(d.x[tap * channels + c]) *
                                 static_cast<double>(d.w[c * taps + tap]);
          expected[c] += product;
          magnitude[c] += fabs(product);
        }
      }
      kernel.run({d.rows.data(), taps, channels, d.packed.data(), d.stride, bias.data(), y.data(),
                  -INFINITY, INFINITY});
      WithinBound(y.data(), expected.data(), magnitude.data(), taps, channels, "depthwise f32");
    }
  }
}

void TestPoolI8(const ptq::PoolI8Kernel& kernel, bool maximum) {
  Random random(15);
  for (size_t channels : kSizes) {
    for (size_t count : {1, 4, 49}) {
      const List<int8_t> x = random.Int8s(channels * count);
      List<const int8_t*> rows;
      for (size_t i = 0; i < count; ++i) rows.Add(x.data() + i * channels);
      List<int8_t> y(channels + 1), expected(channels + 1);
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
      SameBytes(y.data(), expected.data(), y.size(), "pool i8");
    }
  }
}

void TestPoolF32(const ptq::PoolF32Kernel& kernel, bool maximum) {
  Random random(16);
  for (size_t channels : kSizes) {
    for (size_t count : {1, 4, 49}) {
      const List<float> x = random.Floats(channels * count);
      List<const float*> rows;
      for (size_t i = 0; i < count; ++i) rows.Add(x.data() + i * channels);
      List<float> y(channels);
      List<double> expected(channels), magnitude(channels);
      for (size_t c = 0; c < channels; ++c) {
        double sum = 0, best = -1e9;
        for (size_t i = 0; i < count; ++i) {
          const double value = static_cast<double>(x[i * channels + c]);
          sum += value / static_cast<double>(count);
          magnitude[c] += maximum ? 0 : fabs(value) / static_cast<double>(count);
          best = fmax(best, value);
        }
        expected[c] = maximum ? best : sum;
      }
      kernel.run(
          {rows.data(), count, channels, static_cast<float>(count), y.data(), -INFINITY, INFINITY});
      WithinBound(y.data(), expected.data(), magnitude.data(), count, channels, "pool f32");
    }
  }
}

void TestGather(const ptq::GatherKernel& kernel) {
  Random random(17);
  for (size_t count : kSizes) {
    for (size_t stride : {1, 2, 7}) {
      const size_t size = kernel.element_size;
      const List<int8_t> x = random.Int8s(count * stride * size);
      List<int8_t> y(count * size), expected(count * size);
      for (size_t i = 0; i < count; ++i)
        memcpy(expected.data() + i * size, x.data() + i * stride * size, size);
      kernel.run(x.data(), stride, y.data(), count);
      SameBytes(y.data(), expected.data(), y.size(), "gather");
    }
  }
}

void TestQuantizeAndBack() {
  Random random(18);
  WalkList("quantize", ptq::kQuantizeKernels, ptq::kQuantizeKernelCount,
           [&](const ptq::QuantizeKernel& kernel) {
             for (size_t count : kSizes) {
               List<float> x = random.Floats(count, -40, 40);
               for (size_t i = 0; i < count; i += 3)
                 x[i] = 0.25f * (static_cast<float>(random.Int(-200, 200)) + 0.5f);  // ties
               x[0] = INFINITY;
               List<int8_t> y(count), expected(count);
               for (size_t i = 0; i < count; ++i)
                 expected[i] = ReferenceQuantize(x[i] / 0.25f, 12, -128, 127);
               kernel.run(x.data(), y.data(), count, 0.25f, ptq::MakeOutputRange(12, -128, 127));
               SameBytes(y.data(), expected.data(), count, "quantize");
             }
           });
  WalkList("dequantize", ptq::kDequantizeKernels, ptq::kDequantizeKernelCount,
           [&](const ptq::DequantizeKernel& kernel) {
             for (size_t count : kSizes) {
               const List<int8_t> x = random.Int8s(count);
               List<float> y(count), expected(count);
               for (size_t i = 0; i < count; ++i)
                 expected[i] = static_cast<float>(x[i] + 100) * 0.037f;
               kernel.run(x.data(), y.data(), count, 0.037f, -100);
               SameBytes(y.data(), expected.data(), count, "dequantize");
             }
           });
  WalkList("lookup", ptq::kLookupKernels, ptq::kLookupKernelCount,
           [&](const ptq::LookupKernel& kernel) {
             const List<int8_t> x = random.Int8s(777), table = random.Int8s(256);
             List<int8_t> y(x.size()), expected(x.size());
             for (size_t i = 0; i < x.size(); ++i)
               expected[i] = table[static_cast<size_t>(x[i] + 128)];
             kernel.run(x.data(), y.data(), x.size(), table.data());
             SameBytes(y.data(), expected.data(), y.size(), "lookup");
           });
}

void TestElementwise() {
  Random random(19);
  WalkList("add i8", ptq::kAddI8Kernels, ptq::kAddI8KernelCount,
           [&](const ptq::AddI8Kernel& kernel) {
             for (size_t count : kSizes) {
               for (size_t steps = 0; steps < 4; ++steps) {
                 const size_t a_step = steps & 1, b_step = steps >> 1;
                 const List<int8_t> a = random.Int8s(count), b = random.Int8s(count);
                 const float ma = 0.71f, mb = 1.93f;
                 List<int8_t> y(count), expected(count);
                 for (size_t i = 0; i < count; ++i) {
                   const float left = static_cast<float>(a[i * a_step] - 3) * ma,
                               right = static_cast<float>(b[i * b_step] + 9) * mb;
                   expected[i] = ReferenceQuantize(left + right, 5, -128, 100);
                 }
                 kernel.run({a.data(), b.data(), a_step, b_step, y.data(), count, 3, -9, ma, mb,
                             ptq::MakeOutputRange(5, -128, 100)});
                 SameBytes(y.data(), expected.data(), count, "add i8");
               }
             }
           });
  for (size_t i = 0; i < ptq::kBinaryF32KernelCount; ++i) {
    const ptq::BinaryF32Kernel& kernel = ptq::kBinaryF32Kernels[i];
    Row("%s", kernel.name);
    if ((kernel.requires_features & ~ptq::DetectCpuFeatures()) != 0) continue;
    const List<float> a = random.Floats(101), b = random.Floats(101, 0.5f, 2);
    for (size_t steps = 0; steps < 4; ++steps) {
      const size_t a_step = steps & 1, b_step = steps >> 1;
      List<float> y(101), expected(101);
      for (size_t j = 0; j < 101; ++j) {
        const float l = a[j * a_step], r = b[j * b_step];
        const float values[] = {l + r, l - r, l * r, l / r};
        expected[j] = fminf(fmaxf(values[i % 4], -1.5f), 1.5f);
      }
      kernel.run({a.data(), b.data(), a_step, b_step, y.data(), 101, -1.5f, 1.5f});
      SameBytes(y.data(), expected.data(), 101, "binary f32");
    }
  }
}

void TestSoftmax(const ptq::SoftmaxKernel& kernel) {
  Random random(20);
  for (size_t count : kSizes) {
    for (size_t stride : {1, 3}) {
      const List<float> x = random.Floats(count * stride, -90, 90);
      List<float> y(count * stride), got(count);
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
        got[i] = y[i * stride];
      }
      WithinBound(got.data(), expected.data(), magnitude.data(), count, count, "softmax");
    }
  }
}

}  // namespace

int main() {
  WalkList("gemm i8", ptq::kGemmI8Kernels, ptq::kGemmI8KernelCount, TestGemmI8);
  WalkList("gemm f32", ptq::kGemmF32Kernels, ptq::kGemmF32KernelCount, TestGemmF32);
  WalkList("depthwise i8", ptq::kDepthwiseI8Kernels, ptq::kDepthwiseI8KernelCount, TestDepthwiseI8);
  WalkList("depthwise f32", ptq::kDepthwiseF32Kernels, ptq::kDepthwiseF32KernelCount,
           TestDepthwiseF32);
  WalkList("max pool i8", ptq::kMaxPoolI8Kernels, ptq::kMaxPoolI8KernelCount,
           [](const ptq::PoolI8Kernel& kernel) { TestPoolI8(kernel, true); });
  WalkList("average pool i8", ptq::kAveragePoolI8Kernels, ptq::kAveragePoolI8KernelCount,
           [](const ptq::PoolI8Kernel& kernel) { TestPoolI8(kernel, false); });
  WalkList("max pool f32", ptq::kMaxPoolF32Kernels, ptq::kMaxPoolF32KernelCount,
           [](const ptq::PoolF32Kernel& kernel) { TestPoolF32(kernel, true); });
  WalkList("average pool f32", ptq::kAveragePoolF32Kernels, ptq::kAveragePoolF32KernelCount,
           [](const ptq::PoolF32Kernel& kernel) { TestPoolF32(kernel, false); });
  WalkList("gather", ptq::kGatherKernels, ptq::kGatherKernelCount, TestGather);
  WalkList("softmax", ptq::kSoftmaxKernels, ptq::kSoftmaxKernelCount, TestSoftmax);
  TestQuantizeAndBack();
  TestElementwise();
  return Finish("kernels_test");
}
