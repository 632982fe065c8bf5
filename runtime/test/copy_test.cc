// Walks the copy kernels: each one that this CPU can run, over odd sizes, against plain loops, with
// guard pages behind what it may touch.
#include "kernels/copy/contract.h"
#include "test/support/compare.h"
#include "test/support/guarded.h"
#include "test/support/kernel_walk.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

constexpr size_t kSizes[] = {1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 33, 64, 100};
constexpr size_t kRows[] = {1, 2, 5};

void TestRows(const ptq::CopyKernel& kernel) {
  Random random(31);
  for (size_t bytes : kSizes) {
    for (size_t rows : kRows) {
      for (const bool backwards : {false, true}) {
        const size_t x_stride = bytes + 3, y_stride = bytes + 2;
        const Guarded<int8_t> x(random.Int8s((rows - 1) * x_stride + bytes), 0);
        Guarded<int8_t> y((rows - 1) * y_stride + bytes), expected(y.size());
        for (size_t r = 0; r < rows; ++r) {
          const size_t from = backwards ? rows - 1 - r : r;
          memcpy(expected.data() + r * y_stride, x.data() + from * x_stride, bytes);
        }
        const uint8_t* begin = reinterpret_cast<const uint8_t*>(x.data());
        const ptrdiff_t step = static_cast<ptrdiff_t>(x_stride);
        kernel.rows({backwards ? begin + (rows - 1) * x_stride : begin, backwards ? -step : step,
                     reinterpret_cast<uint8_t*>(y.data()), static_cast<ptrdiff_t>(y_stride), bytes,
                     rows});
        SameBytes(y.data(), expected.data(), y.size(), "rows");
      }
    }
  }
}

void TestIndexed(const ptq::CopyKernel& kernel) {
  Random random(32);
  for (size_t bytes : kSizes) {
    for (size_t count : kSizes) {
      constexpr int kItems = 9;
      const Guarded<int8_t> x(random.Int8s(kItems * bytes), 0);
      List<uint32_t> indices(count);
      Guarded<int8_t> y(count * bytes), expected(y.size());
      for (size_t i = 0; i < count; ++i) {
        // Also runs of neighbours, which a kernel may take together.
        indices[i] = static_cast<uint32_t>(i % 3 == 0 ? random.Int(0, kItems - 1)
                                                      : (indices[i - 1] + 1) % kItems);
        memcpy(expected.data() + i * bytes, x.data() + indices[i] * bytes, bytes);
      }
      kernel.indexed({reinterpret_cast<const uint8_t*>(x.data()), indices.data(),
                      reinterpret_cast<uint8_t*>(y.data()), bytes, count});
      SameBytes(y.data(), expected.data(), y.size(), "indexed");
    }
  }
}

void TestStrided(const ptq::CopyKernel& kernel) {
  Random random(33);
  for (size_t element_size : {1, 4, 8}) {
    for (size_t count : kSizes) {
      for (size_t rows : kRows) {
        for (ptrdiff_t step : {1, 2, 3, -1, -2}) {
          const size_t distance = static_cast<size_t>(step < 0 ? -step : step);
          const size_t row = (count - 1) * distance + 1, x_stride = row + 1;
          const Guarded<int8_t> x(random.Int8s(((rows - 1) * x_stride + row) * element_size), 0);
          Guarded<int8_t> y(rows * count * element_size), expected(y.size());
          const size_t first = step < 0 ? row - 1 : 0;
          for (size_t r = 0; r < rows; ++r) {
            for (size_t i = 0; i < count; ++i) {
              const size_t from = r * x_stride + (step < 0 ? first - i * distance : i * distance);
              memcpy(expected.data() + (r * count + i) * element_size,
                     x.data() + from * element_size, element_size);
            }
          }
          kernel.strided({x.data() + first * element_size, static_cast<ptrdiff_t>(x_stride), step,
                          y.data(), element_size, count, rows});
          SameBytes(y.data(), expected.data(), y.size(), "strided");
        }
      }
    }
  }
}

void TestInterleaved(const ptq::CopyKernel& kernel) {
  Random random(34);
  for (size_t element_size : {1, 4, 8}) {
    for (size_t count : kSizes) {
      for (size_t rows : kRows) {
        const size_t first[] = {1, count + 2}, row = 2 * count + 2;
        const Guarded<int8_t> x(random.Int8s(rows * row * element_size), 0);
        Guarded<int8_t> y(rows * 2 * count * element_size), expected(y.size());
        for (size_t r = 0; r < rows; ++r) {
          for (size_t i = 0; i < 2 * count; ++i) {
            memcpy(expected.data() + (r * 2 * count + i) * element_size,
                   x.data() + (r * row + first[i % 2] + i / 2) * element_size, element_size);
          }
        }
        kernel.interleaved(
            {x.data(), row, {first[0], first[1]}, y.data(), element_size, count, rows});
        SameBytes(y.data(), expected.data(), y.size(), "interleaved");
      }
    }
  }
}

void TestCopy(const ptq::CopyKernel& kernel) {
  TestRows(kernel);
  TestIndexed(kernel);
  TestStrided(kernel);
  TestInterleaved(kernel);
}

}  // namespace

int main() {
  WalkList("copy", ptq::kCopyKernels, TestCopy);
  return Finish("copy_test");
}
