// Walks the depthwise kernels: each one that this CPU can run, over odd sizes, against plain loops,
// with guard pages behind what it may touch.
#include <math.h>

#include "base/array.h"
#include "kernels/depthwise/contract.h"
#include "numerics/shifted_sum.h"
#include "test/support/compare.h"
#include "test/support/guarded.h"
#include "test/support/kernel_walk.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

constexpr size_t kChannels[] = {1, 2, 3, 7, 8, 15, 16, 17, 24, 31, 32, 33, 64, 65, 100, 144};
constexpr size_t kOutputs[] = {1, 2, 3, 4, 5, 7, 14, 31};

struct Filter {
  size_t kernel_h, kernel_w, stride, dilation;
};
constexpr Filter kFilters[] = {{3, 3, 1, 1}, {3, 3, 2, 1}, {3, 3, 1, 2}, {5, 5, 1, 1}, {5, 5, 2, 1},
                               {3, 3, 3, 1}, {1, 1, 1, 1}, {1, 3, 1, 1}, {3, 1, 1, 1}, {7, 7, 1, 1},
                               {2, 2, 2, 1}, {5, 3, 2, 2}, {4, 4, 1, 1}};

// A row's input columns, each pixel of its own memory order so that no kernel can rely on
// neighbours, and the filters packed for a kernel.
template <typename T>
struct Data {
  List<T> inputs, w;
  Guarded<T> x;
  List<const T*> columns;
  ptq::Array<T> packed;

  template <typename Kernel>
  Data(const Kernel& kernel, const ptq::DepthwiseShape& shape, size_t outputs,
       const List<T>& x_values, const List<T>& w_values)
      : inputs(x_values), w(w_values), x(inputs, ptq::kReadSlack) {
    const size_t pixels = shape.Columns(outputs) * shape.kernel_h;
    // Backwards: the pixel before the guard page is the first one.
    for (size_t i = 0; i < pixels; ++i) columns.Add(x.data() + (pixels - 1 - i) * shape.channels);
    CHECK_OK(packed.Allocate(kernel.packing.size(shape)));
    kernel.packing.pack(shape, w.data(), packed.data());
  }

  // Calls f(input, weight) for each tap of channel c of output `output`.
  template <typename F>
  void ForEachTap(const ptq::DepthwiseShape& shape, size_t output, size_t c, F f) const {
    for (size_t ky = 0; ky < shape.kernel_h; ++ky) {
      for (size_t kx = 0; kx < shape.kernel_w; ++kx) {
        const size_t column = output * shape.stride + kx * shape.dilation;
        f(columns[column * shape.kernel_h + ky][c],
          w[(c * shape.kernel_h + ky) * shape.kernel_w + kx]);
      }
    }
  }
};

template <typename Kernel, typename Test>
void ForEachSize(const Kernel& kernel, Test test) {
  size_t fitting = 0;
  for (const Filter& f : kFilters) {
    for (size_t channels : kChannels) {
      for (size_t outputs : kOutputs) {
        const ptq::DepthwiseShape shape = {channels, f.kernel_h, f.kernel_w, f.stride, f.dilation};
        if (!ptq::FitsDepthwise(kernel, shape)) continue;
        test(shape, outputs);
        ++fitting;
      }
    }
  }
  CHECK(fitting > 0);  // otherwise kFilters lacks the shape that the kernel is made for
}

void TestDepthwiseI8(const ptq::DepthwiseI8Kernel& kernel) {
  Random random(13);
  size_t shifted = 0;
  ForEachSize(kernel, [&](const ptq::DepthwiseShape& shape, size_t outputs) {
    const size_t channels = shape.channels, taps = shape.kernel_h * shape.kernel_w;
    List<int8_t> inputs = random.Int8s(channels * shape.Columns(outputs) * shape.kernel_h),
                 w = random.Int8s(channels * taps, -127, 127);
    if (channels == 24) {  // the worst case of pairwise int16 sums
      for (size_t i = 0; i < inputs.size(); ++i) inputs[i] = -128;
      for (size_t i = 0; i < w.size(); ++i) w[i] = i % (2 * taps) < taps ? -127 : 127;
    }
    const Data<int8_t> d(kernel, shape, outputs, inputs, w);
    const size_t slots = ptq::RoundUp(channels, ptq::kDepthwiseChannelBlock);
    List<int32_t> bias(channels), folded(slots);
    List<float> multiplier(slots);
    for (size_t c = 0; c < channels; ++c) {
      bias[c] = random.Int(-3000, 3000);
      multiplier[c] = random.Float(0.001f, 0.02f);
      folded[c] = bias[c];
      for (size_t tap = 0; tap < taps; ++tap)
        folded[c] -= kernel.input_offset * d.w[c * taps + tap];
    }
    const size_t stride = channels + 2;
    Guarded<int8_t> y((outputs - 1) * stride + channels), expected(y.size());
    Guarded<float> y_f32(y.size()), expected_f32(y.size());
    const int32_t zero_point = outputs % 2 == 0 ? 9 : -8;
    const ptq::OutputRange range = ptq::MakeOutputRange(zero_point, -120, 125);
    bool fits = kernel.shifted_sums;
    for (size_t i = 0; i < outputs; ++i) {
      for (size_t c = 0; c < channels; ++c) {
        int64_t sum = bias[c];
        d.ForEachTap(shape, i, c, [&](int8_t x, int8_t w) { sum += x * w; });
        fits = fits && ptq::FitsShiftedSum(sum, sum, multiplier[c], zero_point);
        expected[i * stride + c] = ReferenceRequantize(sum, multiplier[c], zero_point, -120, 125);
        expected_f32[i * stride + c] = fmaxf(static_cast<float>(sum) * multiplier[c], 0.0f);
      }
    }
    ptq::DepthwiseI8Row row = {d.columns.data(),
                               shape,
                               outputs,
                               d.packed.data(),
                               folded.data(),
                               multiplier.data(),
                               y.data(),
                               range,
                               nullptr,
                               0,
                               0,
                               stride};
    kernel.run(row);
    SameBytes(y.data(), expected.data(), y.size(), "depthwise i8");
    row.output_i8 = nullptr;
    row.output_f32 = y_f32.data();
    row.lo = 0.0f;
    row.hi = INFINITY;
    kernel.run(row);
    SameBytes(y_f32.data(), expected_f32.data(), y.size(), "depthwise i8, f32 output");
    if (!fits) return;
    ++shifted;
    for (size_t c = 0; c < slots; ++c) folded[c] = ptq::ShiftSum(folded[c]);
    row.shifted_sums = true;
    row.output_i8 = y.data();
    memset(y.data(), 0xFF, y.size());
    kernel.run(row);
    SameBytes(y.data(), expected.data(), y.size(), "depthwise i8, shifted sums");
  });
  CHECK((shifted > 20) == kernel.shifted_sums);
}

template <typename T>
void TestDepthwiseReal(const ptq::DepthwiseKernel<T, ptq::DepthwiseRealRow<T>>& kernel) {
  Random random(14);
  ForEachSize(kernel, [&](const ptq::DepthwiseShape& shape, size_t outputs) {
    const size_t channels = shape.channels, taps = shape.kernel_h * shape.kernel_w;
    const Data<T> d(kernel, shape, outputs,
                    random.Reals<T>(channels * shape.Columns(outputs) * shape.kernel_h),
                    random.Reals<T>(channels * taps));
    const List<T> bias = random.Reals<T>(ptq::RoundUp(channels, ptq::kDepthwiseChannelBlock));
    Guarded<T> y(outputs * channels);
    List<double> expected(y.size()), magnitude(y.size());
    for (size_t i = 0; i < outputs; ++i) {
      for (size_t c = 0; c < channels; ++c) {
        double sum = ToDouble(bias[c]), total = fabs(sum);
        d.ForEachTap(shape, i, c, [&](T x, T w) {
          const double product = ToDouble(x) * ToDouble(w);
          sum += product;
          total += fabs(product);
        });
        expected[i * channels + c] = fmin(fmax(sum, -3.0), 3.0);
        magnitude[i * channels + c] = total;
      }
    }
    kernel.run({d.columns.data(), shape, outputs, d.packed.data(), bias.data(), y.data(), channels,
                -3.0f, 3.0f});
    WithinBound(y.data(), expected.data(), magnitude.data(), taps, y.size(), "depthwise of reals");
  });
}

}  // namespace

int main() {
  WalkList("depthwise i8", ptq::kDepthwiseI8Kernels, TestDepthwiseI8);
  WalkList("depthwise f32", ptq::kDepthwiseF32Kernels, TestDepthwiseReal<float>);
  WalkHalfList("depthwise f16", ptq::kDepthwiseF16Kernels, TestDepthwiseReal<ptq::Half>);
  return Finish("depthwise_test");
}
