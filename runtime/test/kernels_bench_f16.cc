// The kernels in half precision, and the conversions, for kernels_bench.
#include <math.h>

#include "kernels/convert/contract.h"
#include "kernels/depthwise/contract.h"
#include "kernels/elementwise/contract.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/pack.h"
#include "kernels/pool/contract.h"
#include "kernels/unary/contract.h"
#include "test/support/bench.h"
#include "test/support/random.h"

namespace ptq_test {
namespace {

using ptq::Half;

constexpr size_t kCount = 16384;

// A pointwise convolution of 256 to 256 channels on one tile of pixels.
void BenchGemm(Random* random) {
  constexpr size_t kDepth = 256, kColumns = 256;
  for (const ptq::GemmF16Kernel& kernel : ptq::kGemmF16Kernels) {
    const Data<Half> x(random->Halves(kernel.mr * kDepth)), bias(kColumns);
    const List<Half> w = random->Halves(kColumns * kDepth);
    Data<Half> packed(ptq::RoundUp(kColumns, kernel.nr) * kDepth), y(kernel.mr * kColumns),
        scratch(kernel.ScratchElements(kDepth));
    ptq::PackGemmWeights(w.data(), kColumns, 1, kDepth, kernel.nr, 1, 1, packed.data());
    List<const Half*> rows;
    for (size_t r = 0; r < kernel.mr; ++r) rows.Add(x.data() + r * kDepth);
    const ptq::GemmF16Tile tile = {
        rows.data(), 1, kDepth, packed.data(), kDepth, bias.data(),   kernel.mr, kColumns, y.data(),
        kColumns,    0, 6,      nullptr,       0,      scratch.data()};
    Time(kernel, "mr x 256 x 256", kernel.mr * kDepth * kColumns, "MAC", [&] { kernel.run(tile); });
  }
}

// A row of 28 pixels, 192 channels.
void BenchDepthwise(Random* random) {
  constexpr size_t kPixels = 28, kChannels = 192;
  for (const ptq::DepthwiseF16Kernel& kernel : ptq::kDepthwiseF16Kernels) {
    const size_t size = kernel.size != 0 ? kernel.size : 3,
                 stride = kernel.stride != 0 ? kernel.stride : 1;
    const ptq::DepthwiseShape shape = {kChannels, size, size, stride, 1};
    const size_t pixels = shape.Columns(kPixels) * size;
    const Data<Half> x(random->Halves(pixels * kChannels)), bias(kChannels);
    const List<Half> w = random->Halves(kChannels * size * size);
    Data<Half> packed(kernel.packing.size(shape)), y(kPixels * kChannels);
    kernel.packing.pack(shape, w.data(), packed.data());
    List<const Half*> columns;
    for (size_t pixel = 0; pixel < pixels; ++pixel) columns.Add(x.data() + pixel * kChannels);
    const ptq::DepthwiseF16Row row = {
        columns.data(), shape, kPixels, packed.data(), bias.data(), y.data(), kChannels, 0, 6};
    Time(kernel, size == 3 ? "28 x 192, 3x3" : "28 x 192, 5x5", kPixels * kChannels * size * size,
         "MAC", [&] { kernel.run(row); });
  }
}

void BenchRows(Random* random) {
  const Data<Half> a(random->Halves(kCount, 0.5f, 2)), b(random->Halves(kCount, 0.5f, 2));
  const Data<float> x(random->Floats(kCount));
  Data<Half> y(kCount);
  Data<float> y_f32(kCount);
  for (const ptq::BinaryF16Kernel& kernel : ptq::kBinaryF16Kernels) {
    Time(kernel, "16384", 6 * kCount, "B",
         [&] { kernel.run({a.data(), b.data(), 1, 1, y.data(), kCount, 0, 6}); });
  }
  for (const ptq::ClampF16Kernel& kernel : ptq::kClampF16Kernels) {
    Time(kernel, "16384", 4 * kCount, "B",
         [&] { kernel.run(a.data(), y.data(), kCount, 0.75f, 1.5f); });
  }
  for (const ptq::UnaryF16Kernel& kernel : ptq::kUnaryF16Kernels) {
    Time(kernel, "hard_swish", 4 * kCount, "B", [&] {
      kernel.run({ptq::kUnaryHardSwish, a.data(), y.data(), kCount, 0, 0, -INFINITY, INFINITY});
    });
  }
  for (const ptq::ToHalfKernel& kernel : ptq::kToHalfKernels) {
    Time(kernel, "16384", 6 * kCount, "B", [&] { kernel.run(x.data(), y.data(), kCount); });
  }
  for (const ptq::ToFloatKernel& kernel : ptq::kToFloatKernels) {
    Time(kernel, "16384", 6 * kCount, "B", [&] { kernel.run(a.data(), y_f32.data(), kCount); });
  }
}

// One pixel of 256 channels from a window of 3 x 3.
void BenchPool(Random* random) {
  constexpr size_t kChannels = 256, kPixels = 9;
  const Data<Half> x(random->Halves(kChannels * kPixels));
  Data<Half> y(kChannels);
  List<const Half*> rows;
  for (size_t i = 0; i < kPixels; ++i) rows.Add(x.data() + i * kChannels);
  const ptq::PoolF16Pixel pixel = {rows.data(), kPixels, kChannels, 9, y.data(), -6, 6};
  const auto time = [&](const ptq::KernelList<ptq::PoolF16Kernel>& list) {
    for (const ptq::PoolF16Kernel& kernel : list)
      Time(kernel, "3x3 x 256", 2 * kPixels * kChannels, "B", [&] { kernel.run(pixel); });
  };
  time(ptq::kMaxPoolF16Kernels);
  time(ptq::kAveragePoolF16Kernels);
}

}  // namespace

void BenchHalf() {
  Random random(8);
  BenchGemm(&random);
  BenchDepthwise(&random);
  BenchRows(&random);
  BenchPool(&random);
}

}  // namespace ptq_test
