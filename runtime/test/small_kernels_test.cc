// Walks the lists of the small kernel families: each kernel that this CPU can run, over odd sizes,
// against plain loops.
#include <math.h>

#include "base/cpu_features.h"
#include "format/op_kinds.h"
#include "kernels/convert/contract.h"
#include "kernels/elementwise/contract.h"
#include "kernels/move/contract.h"
#include "kernels/pool/contract.h"
#include "kernels/softmax/contract.h"
#include "test/support/compare.h"
#include "test/support/kernel_walk.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

constexpr size_t kSizes[] = {1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 100};

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

void TestBinaryI8(const ptq::BinaryI8Kernel& kernel) {
  Random random(21);
  const float ma = kernel.op == ptq::kMul ? 0.0171f : 0.71f, mb = 1.93f;
  for (size_t count : kSizes) {
    for (size_t steps = 0; steps < 4; ++steps) {
      const size_t a_step = steps & 1, b_step = steps >> 1;
      const List<int8_t> a = random.Int8s(count), b = random.Int8s(count);
      List<int8_t> y(count), expected(count);
      for (size_t i = 0; i < count; ++i) {
        const int left = a[i * a_step] - 3, right = b[i * b_step] + 9;
        const float scaled_left = static_cast<float>(left) * ma,
                    scaled_right = static_cast<float>(right) * mb;
        const float value = kernel.op == ptq::kAdd   ? scaled_left + scaled_right
                            : kernel.op == ptq::kSub ? scaled_left - scaled_right
                                                     : static_cast<float>(left * right) * ma;
        expected[i] = ReferenceQuantize(value, 5, -128, 100);
      }
      kernel.run({a.data(), b.data(), a_step, b_step, y.data(), count, 3, -9, ma, mb,
                  ptq::MakeOutputRange(5, -128, 100)});
      SameBytes(y.data(), expected.data(), count, "binary i8");
    }
  }
}

void TestElementwise() {
  Random random(19);
  WalkList("binary i8", ptq::kBinaryI8Kernels, ptq::kBinaryI8KernelCount, TestBinaryI8);
  for (size_t i = 0; i < ptq::kBinaryF32KernelCount; ++i) {
    const ptq::BinaryF32Kernel& kernel = ptq::kBinaryF32Kernels[i];
    Row("%s", kernel.name);
    if ((kernel.requires_features & ~ptq::DetectCpuFeatures()) != 0) continue;
    const List<float> a = random.Floats(101, kernel.op == ptq::kPow ? 0.0f : -2.0f, 2),
                      b = random.Floats(101, 0.5f, 2);
    for (size_t steps = 0; steps < 4; ++steps) {
      const size_t a_step = steps & 1, b_step = steps >> 1;
      List<float> y(101), expected(101);
      for (size_t j = 0; j < 101; ++j) {
        const float l = a[j * a_step], r = b[j * b_step];
        expected[j] = fminf(fmaxf(ReferenceBinary(kernel.op, l, r), -1.5f), 1.5f);
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
  return Finish("small_kernels_test");
}
