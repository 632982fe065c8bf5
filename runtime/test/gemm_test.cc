// Walks the gemm kernels: each one that this CPU can run, over odd sizes, against plain loops, with
// guard pages behind what it may touch.
#include <math.h>

#include "base/array.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/pack.h"
#include "numerics/shifted_sum.h"
#include "test/support/compare.h"
#include "test/support/guarded.h"
#include "test/support/kernel_walk.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

constexpr size_t kDepths[] = {1, 2, 3, 5, 8, 15, 16, 17, 24, 31, 33, 64, 65, 100, 131, 300};
constexpr size_t kTaps[] = {1, 2, 9};

// Rows of input, [rows][taps][depth], and the pointers that a kernel gets to them.
template <typename T>
struct Rows {
  Guarded<T> x;
  List<const T*> pointers;  // [taps][mr]

  Rows(const List<T>& values, size_t rows, size_t taps, size_t depth, size_t mr)
      : x(values, ptq::kReadSlack), pointers(taps * mr) {
    for (size_t tap = 0; tap < taps; ++tap) {
      for (size_t i = 0; i < mr; ++i) {
        const size_t row = i < rows ? i : rows - 1;
        pointers[tap * mr + i] = x.data() + (row * taps + tap) * depth;
      }
    }
  }
};

template <typename Kernel, typename Test>
void ForEachSize(const Kernel& kernel, Test test) {
  for (size_t depth : kDepths) {
    for (size_t taps : kTaps) {
      for (size_t rows = 1; rows <= kernel.mr; ++rows) {
        // Also more than one block, whole and partial.
        for (size_t columns : {size_t{1}, kernel.nr - 1, kernel.nr, 2 * kernel.nr + 3}) {
          if (rows > 2 && rows + 2 < kernel.mr && (rows + depth + columns) % 5 != 0) continue;
          test(depth, taps, rows, columns);
        }
      }
    }
  }
}

void TestGemmI8(const ptq::GemmI8Kernel& kernel) {
  Random random(11);
  size_t shifted = 0;
  ForEachSize(kernel, [&](size_t depth, size_t taps, size_t rows, size_t columns) {
    const size_t products = taps * depth, slots = ptq::RoundUp(columns, kernel.nr);
    List<int8_t> w = random.Int8s(columns * products, -127, 127),
                 inputs = random.Int8s(rows * products);
    if (depth == 2) {  // the worst case of pairwise int16 sums
      for (size_t i = 0; i < inputs.size(); ++i) inputs[i] = -128;
      for (size_t i = 0; i < w.size(); ++i) w[i] = i % 2 == 0 ? -127 : w[i];
    }
    const Rows<int8_t> x(inputs, rows, taps, depth, kernel.mr);
    ptq::Array<int8_t> packed;
    CHECK_OK(packed.Allocate(slots * ptq::PackedGemmProducts(taps, depth, kernel.kd)));
    ptq::PackGemmWeights(w.data(), columns, taps, depth, kernel.nr, kernel.kr, kernel.kd,
                         packed.data());
    List<int32_t> bias(columns), folded(slots);
    List<float> multiplier(slots);
    for (size_t j = 0; j < columns; ++j) {
      // Also results beyond int32, and small ones that all but leave it.
      bias[j] = depth == 5 ? random.Int(-1, 1) * 2140000000 : random.Int(-9000, 9000);
      multiplier[j] = depth == 3   ? random.Float(1e5f, 1e7f)
                      : depth == 5 ? nextafterf(1.0f, 0.0f)
                                   : random.Float(0.0001f, 0.02f);
      folded[j] = bias[j];
      for (size_t k = 0; k < products; ++k) folded[j] -= kernel.input_offset * w[j * products + k];
    }
    const size_t stride = columns + 3;
    // With and without bounds other than those of int8.
    const int32_t q_min = taps == 1 ? -128 : -9, q_max = depth % 2 == 0 ? 127 : 120;
    const ptq::OutputRange range = ptq::MakeOutputRange(-4, q_min, q_max);
    // The last row ends at the guard page.
    Guarded<int8_t> y((rows - 1) * stride + columns), expected(y.size());
    Guarded<float> y_f32(y.size()), expected_f32(y.size());
    bool fits = kernel.shifted_sums;
    for (size_t i = 0; i < rows; ++i) {
      for (size_t j = 0; j < columns; ++j) {
        int64_t sum = bias[j];
        for (size_t k = 0; k < products; ++k) sum += inputs[i * products + k] * w[j * products + k];
        fits = fits && ptq::FitsShiftedSum(sum, sum, multiplier[j], range.zero_point);
        expected[i * stride + j] = ReferenceRequantize(sum, multiplier[j], -4, q_min, q_max);
        expected_f32[i * stride + j] = fminf(static_cast<float>(sum) * multiplier[j], 50.0f);
      }
    }
    ptq::GemmI8Tile tile = {x.pointers.data(), taps, depth,   packed.data(), folded.data(),
                            multiplier.data(), rows, columns, y.data(),      range,
                            nullptr,           0,    0,       stride};
    kernel.run(tile);
    // Also: nothing is written between the rows.
    SameBytes(y.data(), expected.data(), y.size(), "gemm i8");
    tile.small_results = depth != 3;
    memset(y.data(), 0xFF, y.size());
    kernel.run(tile);
    SameBytes(y.data(), expected.data(), y.size(), "gemm i8, small results");
    if (kernel.adds_residual) {
      const Guarded<int8_t> r(random.Int8s(y.size()), 0);
      Guarded<int8_t> expected_sum(y.size());
      for (size_t i = 0; i < rows; ++i) {
        for (size_t j = i * stride; j < i * stride + columns; ++j) {
          expected_sum[j] = ReferenceQuantize(
              static_cast<float>(expected[j] + 4) * 0.7f + static_cast<float>(r[j] - 9) * 0.31f, 5,
              -100, 99);
        }
      }
      const ptq::BinaryI8Row add = {nullptr,
                                    r.data(),
                                    1,
                                    1,
                                    nullptr,
                                    0,
                                    -4,
                                    9,
                                    0.7f,
                                    0.31f,
                                    ptq::MakeOutputRange(5, -100, 99)};
      tile.add = &add;
      memset(y.data(), 0xFF, y.size());
      kernel.run(tile);
      SameBytes(y.data(), expected_sum.data(), y.size(), "gemm i8, residual");
      tile.add = nullptr;
    }
    tile.output_i8 = nullptr;
    tile.output_f32 = y_f32.data();
    tile.lo = -INFINITY;
    tile.hi = 50.0f;
    tile.next = packed.data();  // only prefetched
    tile.next_bytes = packed.size();
    kernel.run(tile);
    SameBytes(y_f32.data(), expected_f32.data(), y.size(), "gemm i8, f32 output");
    if (!fits) return;
    ++shifted;
    for (size_t j = 0; j < slots; ++j) folded[j] = ptq::ShiftSum(folded[j]);
    tile.shifted_sums = true;
    memset(y_f32.data(), 0xFF, y.size() * sizeof(float));
    kernel.run(tile);
    SameBytes(y_f32.data(), expected_f32.data(), y.size(), "gemm i8, shifted sums, f32 output");
    tile.output_i8 = y.data();
    memset(y.data(), 0xFF, y.size());
    kernel.run(tile);
    SameBytes(y.data(), expected.data(), y.size(), "gemm i8, shifted sums");
  });
  CHECK((shifted > 100) == kernel.shifted_sums);
}

template <typename T>
void TestGemmReal(const ptq::GemmRealKernel<T>& kernel) {
  Random random(12);
  ForEachSize(kernel, [&](size_t depth, size_t taps, size_t rows, size_t columns) {
    const size_t products = taps * depth, slots = ptq::RoundUp(columns, kernel.nr);
    const List<T> inputs = random.Reals<T>(rows * products),
                  w = random.Reals<T>(columns * products);
    const Rows<T> x(inputs, rows, taps, depth, kernel.mr);
    const List<T> bias = random.Reals<T>(slots);
    ptq::Array<T> packed;
    CHECK_OK(packed.Allocate(slots * products));
    ptq::PackGemmWeights(w.data(), columns, taps, depth, kernel.nr, 1, 1, packed.data());
    Guarded<T> y(rows * columns);
    List<double> expected(y.size()), magnitude(y.size());
    for (size_t i = 0; i < rows; ++i) {
      for (size_t j = 0; j < columns; ++j) {
        double sum = ToDouble(bias[j]), total = fabs(sum);
        for (size_t k = 0; k < products; ++k) {
          const double product = ToDouble(inputs[i * products + k]) * ToDouble(w[j * products + k]);
          sum += product;
          total += fabs(product);
        }
        expected[i * columns + j] = fmin(fmax(sum, -1.0), 6.0);
        magnitude[i * columns + j] = total;
      }
    }
    Guarded<T> scratch(kernel.ScratchElements(taps * depth));
    kernel.run({x.pointers.data(), taps, depth, packed.data(), products, bias.data(), rows, columns,
                y.data(), columns, -1.0f, 6.0f, rows % 2 == 0 ? packed.data() : nullptr,
                rows % 2 == 0 ? packed.size() * sizeof(T) : 0, scratch.data()});
    WithinBound(y.data(), expected.data(), magnitude.data(), products, y.size(), "gemm of reals");
  });
}

void TestPacking() {
  Row("packing");
  const int8_t w[] = {1, 2, 3, 4, 5, 6};  // 2 outputs, 1 tap, depth 3
  const int8_t expected[] = {1, 2, 4, 5, 0, 0, 3, 0, 6, 0, 0, 0,
                             0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  int8_t packed[24];
  memset(packed, 0x55, sizeof packed);
  ptq::PackGemmWeights(w, 2, 1, 3, 3, 2, 8, packed);
  CHECK(ptq::PackedGemmProducts(1, 3, 8) * 3 == sizeof packed);
  SameBytes(packed, expected, sizeof packed, "packed[block][tap][k / kr][j][k % kr]");
}

}  // namespace

int main() {
  TestPacking();
  WalkList("gemm i8", ptq::kGemmI8Kernels, TestGemmI8);
  WalkList("gemm f32", ptq::kGemmF32Kernels, TestGemmReal<float>);
  WalkHalfList("gemm f16", ptq::kGemmF16Kernels, TestGemmReal<ptq::Half>);
  return Finish("gemm_test");
}
