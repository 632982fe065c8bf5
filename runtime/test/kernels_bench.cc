// Times every kernel of every family that this CPU can run, on sizes typical of mobile networks:
//   kernels_bench [TEXT]     only kernels whose name contains TEXT
// Prints the fastest of many runs and what it means in multiply-accumulates or bytes (read and
// written) per nanosecond. Data fits in the cache. A family is a function and its row in kFamilies.
#include <math.h>

#include "base/array.h"
#include "base/math.h"
#include "kernels/convert/contract.h"
#include "kernels/copy/contract.h"
#include "kernels/crc32/contract.h"
#include "kernels/depthwise/contract.h"
#include "kernels/elementwise/contract.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/pack.h"
#include "kernels/move/contract.h"
#include "kernels/pool/contract.h"
#include "kernels/reduce/contract.h"
#include "kernels/resize/contract.h"
#include "kernels/softmax/contract.h"
#include "kernels/unary/contract.h"
#include "kernels/winograd/contract.h"
#include "test/support/bench.h"
#include "test/support/list.h"
#include "test/support/random.h"

namespace ptq_test {
void BenchHalf();  // kernels_bench_f16.cc
}  // namespace ptq_test

namespace {

using namespace ptq_test;

constexpr size_t kCount = 16384;  // elements of a row

// gemm: a pointwise convolution of 256 to 256 channels on one tile of pixels.
constexpr size_t kDepth = 256, kColumns = 256;

template <typename T>
List<T> Integers(Random* random, size_t count) {
  List<T> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<T>(random->Int(-100, 100));
  return values;
}

template <typename T, typename Kernel>
void PackGemm(Random* random, const Kernel& kernel, size_t kr, size_t kd, ptq::Array<T>* packed) {
  const List<T> w = Integers<T>(random, kColumns * kDepth);
  const size_t columns = ptq::RoundUp(kColumns, kernel.nr);
  if (packed->Allocate(columns * ptq::PackedGemmProducts(1, kDepth, kd)) != PTQ_OK) abort();
  ptq::PackGemmWeights(w.data(), kColumns, 1, kDepth, kernel.nr, kr, kd, packed->data());
}

void BenchGemm() {
  Random random(1);
  const Data<float> zeros(kColumns + 64);
  const Data<int32_t> zeros_i32(kColumns + 64);
  for (const ptq::GemmF32Kernel& kernel : ptq::kGemmF32Kernels) {
    const Data<float> x(Integers<float>(&random, kernel.mr * kDepth));
    ptq::Array<float> packed;
    PackGemm(&random, kernel, 1, 1, &packed);
    List<const float*> rows;
    for (size_t r = 0; r < kernel.mr; ++r) rows.Add(x.data() + r * kDepth);
    Data<float> y(kernel.mr * kColumns);
    ptq::GemmF32Tile tile = {};
    tile.rows = rows.data();
    tile.taps = 1;
    tile.depth = tile.products = kDepth;
    tile.weights = packed.data();
    tile.bias = zeros.data();
    tile.valid_rows = kernel.mr;
    tile.columns = tile.output_stride = kColumns;
    tile.output = y.data();
    tile.hi = 6;
    Data<float> scratch(kernel.ScratchElements(kDepth));
    tile.scratch = scratch.data();
    Time(kernel, "mr x 256 x 256", kernel.mr * kDepth * kColumns, "MAC", [&] { kernel.run(tile); });
  }
  for (const ptq::GemmI8Kernel& kernel : ptq::kGemmI8Kernels) {
    const Data<int8_t> x(Integers<int8_t>(&random, kernel.mr * kDepth));
    ptq::Array<int8_t> packed;
    PackGemm(&random, kernel, kernel.kr, kernel.kd, &packed);
    List<const int8_t*> rows;
    for (size_t r = 0; r < kernel.mr; ++r) rows.Add(x.data() + r * kDepth);
    Data<int8_t> output(kernel.mr * kColumns);
    ptq::GemmI8Tile tile = {};
    tile.rows = rows.data();
    tile.taps = 1;
    tile.depth = kDepth;
    tile.weights = packed.data();
    tile.bias = zeros_i32.data();
    tile.multiplier = zeros.data();
    tile.valid_rows = kernel.mr;
    tile.columns = tile.output_stride = kColumns;
    tile.output_i8 = output.data();
    tile.range = ptq::MakeOutputRange(0, -128, 127);
    Time(kernel, "mr x 256 x 256", kernel.mr * kDepth * kColumns, "MAC", [&] { kernel.run(tile); });
  }
}

// depthwise: a row of 28 pixels, 192 channels, for the sizes that each kernel is made for.
constexpr size_t kPixels = 28, kChannels = 192;

template <typename T, typename Row, typename Kernel, typename SetOutput>
void TimeDepthwise(const Kernel& kernel, SetOutput set_output) {
  const auto chosen = [](size_t made_for, size_t otherwise) {
    return made_for == 0 ? otherwise : made_for;
  };
  const size_t side = chosen(kernel.size, 3);
  const ptq::DepthwiseShape shape = {kChannels, side, side, chosen(kernel.stride, 1), 1};
  const size_t columns = shape.Columns(kPixels), taps = side * side;
  const Data<T> x(columns * side * kChannels), w(kChannels * taps);
  List<const T*> pointers;
  for (size_t i = 0; i < columns * side; ++i) pointers.Add(x.data() + i * kChannels);
  ptq::Array<T> packed;
  if (packed.Allocate(kernel.packing.size(shape)) != PTQ_OK) abort();
  kernel.packing.pack(shape, w.data(), packed.data());
  Row row = {};
  row.columns = pointers.data();
  row.shape = shape;
  row.outputs = kPixels;
  row.weights = packed.data();
  row.output_stride = kChannels;
  set_output(&row);
  char size[32];
  snprintf(size, sizeof size, "28 x 192, %zux%zus%zu", side, side, shape.stride);
  Time(kernel, size, kPixels * kChannels * taps, "MAC", [&] { kernel.run(row); });
}

void BenchDepthwise() {
  const Data<float> zeros(kChannels);
  const Data<int32_t> zeros_i32(kChannels);
  Data<float> y(kPixels * kChannels);
  Data<int8_t> y_i8(kPixels * kChannels);
  for (const auto& kernel : ptq::kDepthwiseF32Kernels) {
    TimeDepthwise<float, ptq::DepthwiseF32Row>(kernel, [&](ptq::DepthwiseF32Row* row) {
      row->bias = zeros.data();
      row->output = y.data();
    });
  }
  for (const auto& kernel : ptq::kDepthwiseI8Kernels) {
    TimeDepthwise<int8_t, ptq::DepthwiseI8Row>(kernel, [&](ptq::DepthwiseI8Row* row) {
      row->bias = zeros_i32.data();
      row->multiplier = zeros.data();
      row->output_i8 = y_i8.data();
      row->range = ptq::MakeOutputRange(0, -128, 127);
    });
  }
}

void BenchElementwise() {
  Random random(2);
  const Data<float> a(random.Floats(kCount, 0.5f, 2)), b(random.Floats(kCount, 0.5f, 2));
  const Data<int8_t> a_i8(random.Int8s(kCount)), b_i8(random.Int8s(kCount));
  Data<float> y(kCount);
  Data<int8_t> y_i8(kCount);
  for (const ptq::BinaryF32Kernel& kernel : ptq::kBinaryF32Kernels) {
    Time(kernel, "16384", 12 * kCount, "B",
         [&] { kernel.run({a.data(), b.data(), 1, 1, y.data(), kCount, 0, 6}); });
  }
  for (const ptq::ClampF32Kernel& kernel : ptq::kClampF32Kernels) {
    Time(kernel, "16384", 8 * kCount, "B",
         [&] { kernel.run(a.data(), y.data(), kCount, 0.75f, 1.5f); });
  }
  for (const ptq::BinaryI8Kernel& kernel : ptq::kBinaryI8Kernels) {
    for (size_t count : {kCount, size_t{120}}) {
      ptq::BinaryI8Row row = {a_i8.data(),
                              b_i8.data(),
                              1,
                              1,
                              y_i8.data(),
                              count,
                              3,
                              -9,
                              0.7f,
                              0.9f,
                              ptq::MakeOutputRange(5, -128, 127)};
      Time(kernel, count == kCount ? "16384" : "120", 3 * count, "B", [&] { kernel.run(row); });
    }
  }
}

void BenchConvert() {
  Random random(3);
  const Data<float> x(random.Floats(kCount));
  const Data<int8_t> x_i8(random.Int8s(kCount)), table(random.Int8s(256));
  Data<float> y(kCount);
  Data<int8_t> y_i8(kCount);
  for (const ptq::QuantizeKernel& kernel : ptq::kQuantizeKernels) {
    const ptq::OutputRange range = ptq::MakeOutputRange(3, -128, 127);
    Time(kernel, "16384", 5 * kCount, "B",
         [&] { kernel.run(x.data(), y_i8.data(), kCount, 0.0157f, range); });
  }
  for (const ptq::DequantizeKernel& kernel : ptq::kDequantizeKernels) {
    Time(kernel, "16384", 5 * kCount, "B",
         [&] { kernel.run(x_i8.data(), y.data(), kCount, 0.0157f, 3); });
  }
  for (const ptq::LookupKernel& kernel : ptq::kLookupKernels) {
    Time(kernel, "16384", 2 * kCount, "B",
         [&] { kernel.run(x_i8.data(), y_i8.data(), kCount, table.data()); });
  }
}

// pool: one pixel of 256 channels from a window of 3 x 3 and of a whole picture of 7 x 7.
constexpr size_t kPoolChannels = 256, kPoolPixels = 49;

template <typename T>
List<const T*> PoolRows(const Data<T>& x) {
  List<const T*> rows;
  for (size_t i = 0; i < kPoolPixels; ++i) rows.Add(x.data() + i * kPoolChannels);
  return rows;
}

void BenchPool() {
  Random random(4);
  const Data<float> x(random.Floats(kPoolPixels * kPoolChannels));
  const Data<int8_t> x_i8(random.Int8s(kPoolPixels * kPoolChannels));
  const List<const float*> rows = PoolRows(x);
  const List<const int8_t*> rows_i8 = PoolRows(x_i8);
  Data<float> y(kPoolChannels);
  Data<int8_t> y_i8(kPoolChannels);
  const auto time_f32 = [&](const ptq::KernelList<ptq::PoolF32Kernel>& list) {
    for (const ptq::PoolF32Kernel& kernel : list) {
      for (size_t pixels : {size_t{9}, kPoolPixels}) {
        const ptq::PoolF32Pixel pixel = {rows.data(), pixels, kPoolChannels, 9, y.data(), -6, 6};
        Time(kernel, pixels == 9 ? "3x3 x 256" : "7x7 x 256", 4 * pixels * kPoolChannels, "B",
             [&] { kernel.run(pixel); });
      }
    }
  };
  const auto time_i8 = [&](const ptq::KernelList<ptq::PoolI8Kernel>& list) {
    for (const ptq::PoolI8Kernel& kernel : list) {
      for (size_t pixels : {size_t{9}, kPoolPixels}) {
        const ptq::PoolI8Pixel pixel = {rows_i8.data(),
                                        pixels,
                                        kPoolChannels,
                                        5,
                                        0.1f,
                                        y_i8.data(),
                                        ptq::MakeOutputRange(0, -128, 127),
                                        -128,
                                        127};
        Time(kernel, pixels == 9 ? "3x3 x 256" : "7x7 x 256", pixels * kPoolChannels, "B",
             [&] { kernel.run(pixel); });
      }
    }
  };
  time_f32(ptq::kMaxPoolF32Kernels);
  time_f32(ptq::kAveragePoolF32Kernels);
  time_i8(ptq::kMaxPoolI8Kernels);
  time_i8(ptq::kAveragePoolI8Kernels);
}

// move: a picture to NHWC and a tensor of 64 channels, there and back.
void BenchMove() {
  const struct {
    const char* size;
    size_t rows, columns;
  } shapes[] = {{"3 x 4096", 3, 4096}, {"64 x 196", 64, 196}, {"196 x 64", 196, 64}};
  const Data<double> x(kCount);
  Data<double> y(kCount);
  for (const ptq::TransposeKernel& kernel : ptq::kTransposeKernels) {
    for (const auto& shape : shapes) {
      Time(kernel, shape.size, 2 * shape.rows * shape.columns * kernel.element_size, "B", [&] {
        kernel.run({x.data(), shape.columns, y.data(), shape.rows, shape.rows, shape.columns});
      });
    }
  }
}

void BenchFunctions() {
  Random random(5);
  const Data<float> x(random.Floats(kCount));
  Data<float> y(kCount);
  for (const ptq::SoftmaxKernel& kernel : ptq::kSoftmaxKernels) {
    Time(kernel, "1000", 8 * 1000, "B", [&] { kernel.run(x.data(), y.data(), 1000, 1); });
    Time(kernel, "21, stride 64", 8 * 21, "B", [&] { kernel.run(x.data(), y.data(), 21, 64); });
  }
  const struct {
    const char* name;
    ptq::UnaryFunction function;
  } functions[] = {{"sigmoid", ptq::kUnarySigmoid}, {"hard_swish", ptq::kUnaryHardSwish}};
  for (const ptq::UnaryF32Kernel& kernel : ptq::kUnaryF32Kernels) {
    for (const auto& f : functions) {
      Time(kernel, f.name, 8 * kCount, "B", [&] {
        kernel.run({f.function, x.data(), y.data(), kCount, 0, 0, -INFINITY, INFINITY});
      });
    }
  }
}

void BenchReduce() {
  Random random(6);
  const Data<float> x(random.Floats(kCount));
  const Data<int8_t> x_i8(random.Int8s(kCount));
  Data<float> y(256);
  Data<int32_t> y_i8(256);
  for (const ptq::ReduceF32Kernel& kernel : ptq::kReduceF32Kernels) {
    Time(kernel, "64 x 256", 4 * kCount, "B",
         [&] { kernel.columns({ptq::Reduction::kSum, x.data(), 256, 64, 256, y.data()}); });
  }
  for (const ptq::ReduceI8Kernel& kernel : ptq::kReduceI8Kernels) {
    Time(kernel, "64 x 256", kCount, "B",
         [&] { kernel.columns({ptq::Reduction::kSum, x_i8.data(), 256, 64, 256, y_i8.data()}); });
  }
}

// copy: rows of a concat, items of a gather, every second element, a channel shuffle.
void BenchCopy() {
  Random random(7);
  const Data<int8_t> x(random.Int8s(kCount));
  Data<int8_t> y(kCount);
  List<uint32_t> indices(kCount / 64);
  for (size_t i = 0; i < indices.size(); ++i)
    indices[i] = static_cast<uint32_t>(i * 5 % indices.size());
  const uint8_t* from = reinterpret_cast<const uint8_t*>(x.data());
  uint8_t* to = reinterpret_cast<uint8_t*>(y.data());
  for (const ptq::CopyKernel& kernel : ptq::kCopyKernels) {
    Time(kernel, "rows of 58", 2 * 58 * 128, "B",
         [&] { kernel.rows({from, 116, to, 58, 58, 128}); });
    Time(kernel, "items of 64", 2 * kCount, "B",
         [&] { kernel.indexed({from, indices.data(), to, 64, indices.size()}); });
    Time(kernel, "step 2", kCount, "B",
         [&] { kernel.strided({from, kCount, 2, to, 1, kCount / 2, 1}); });
    Time(kernel, "2 runs of 58", 2 * 116 * 128, "B",
         [&] { kernel.interleaved({from, 116, {0, 58}, to, 1, 58, 128}); });
  }
}

void BenchResize() {
  Random random(9);
  constexpr size_t kChannels = 96, kWidth = 32;
  const Data<float> x(random.Floats(2 * kWidth * kChannels));
  Data<float> y(2 * kWidth * kChannels);
  List<ptq::Neighbours> columns(2 * kWidth);
  for (uint32_t i = 0; i < columns.size(); ++i)
    columns[i] = {i / 2, i / 2 + 1 < kWidth ? i / 2 + 1 : i / 2, 0.75f, 0.25f};
  for (const ptq::ResizeF32Kernel& kernel : ptq::kResizeF32Kernels) {
    Time(kernel, "32 -> 64, 96 ch", 4 * 4 * kWidth * kChannels, "B", [&] {
      kernel.run({x.data(), x.data() + kWidth * kChannels, 0.75f, 0.25f, columns.data(), y.data(),
                  columns.size(), kChannels, -INFINITY, INFINITY});
    });
  }
}

void BenchCrc32() {
  Random random(10);
  const Data<int8_t> x(random.Int8s(kCount));
  volatile uint32_t sink = 0;
  for (const ptq::Crc32Kernel& kernel : ptq::kCrc32Kernels) {
    Time(kernel, "16384", kCount, "B",
         [&] { sink = kernel.run(0, reinterpret_cast<const uint8_t*>(x.data()), kCount); });
  }
}

// winograd: a tile of 128 channels.
void BenchWinograd() {
  constexpr size_t kTileChannels = 128, kStride = kTileChannels + 16;
  const Data<float> x(16 * kTileChannels), bias(kTileChannels);
  Data<float> positions(16 * kStride), y(4 * kTileChannels);
  const float* pixels[16];
  for (size_t i = 0; i < 16; ++i) pixels[i] = x.data() + i * kTileChannels;
  float* const to = y.data();
  for (const ptq::WinogradKernel& kernel : ptq::kWinogradKernels) {
    Time(kernel, "window, 128 ch", 4 * 32 * kTileChannels, "B",
         [&] { kernel.transform_input({pixels, kTileChannels, positions.data(), kStride}); });
    Time(kernel, "sums, 128 ch", 4 * 20 * kTileChannels, "B", [&] {
      kernel.transform_output(
          {positions.data(),
           kStride,
           kTileChannels,
           bias.data(),
           0,
           6,
           {{to, to + kTileChannels}, {to + 2 * kTileChannels, to + 3 * kTileChannels}}});
    });
  }
}

void (*const kFamilies[])() = {BenchGemm,    BenchHalf, BenchDepthwise, BenchElementwise,
                               BenchConvert, BenchPool, BenchMove,      BenchFunctions,
                               BenchReduce,  BenchCopy, BenchResize,    BenchCrc32,
                               BenchWinograd};

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) name_filter = argv[1];
  for (void (*family)() : kFamilies) family();
  return 0;
}
