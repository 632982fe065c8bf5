// matmul through the whole runtime against plain loops: int8 bit for bit, float within the bound.
#include <math.h>

#include "numerics/sum_blocks.h"
#include "test/support/one_op.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

struct MatmulCase {
  Dims a, b;  // the dimensions before the matrices
  uint32_t m, k, n;
};

const MatmulCase kCases[] = {
    {{}, {}, 1, 1, 1},             // a single product
    {{}, {}, 7, 5, 3},             // less than a block of columns
    {{2, 3}, {2, 3}, 33, 17, 65},  // heads of attention, odd everything
    {{3}, {3}, 50, 32, 197},       // several blocks, a tail
    {{4}, {}, 9, 24, 40},          // b for all: rows of one matrix
    {{}, {4}, 9, 24, 40},          // a for all
    {{3, 1}, {1, 2}, 6, 11, 13},   // both broadcast
    {{2, 1, 3}, {4, 1}, 5, 8, 9},  // ranks differ; a dimension of ones between
    {{2, 3}, {2, 1}, 5, 8, 9},     // rows of a merge below a batch
    {{5}, {5}, 1, 64, 1},          // vectors
    {{}, {}, 300, 64, 31},         // rows for several threads
    {{}, {}, 20, 48, 700},         // panels
    {{2}, {2}, 6, 700, 50},        // two parts of exact sums
    {{}, {}, 5, 5000, 35},         // long sums, ten parts
    {{12}, {12}, 40, 64, 40},      // enough work for all threads
};

struct QuantCase {
  int z_a, z_b, z_out;
  bool float_output;
  int q_min, q_max;
  float output_scale;  // relative to a typical sum: small ones saturate
};

constexpr QuantCase kQuantCases[] = {
    {0, 0, 0, false, -128, 127, 1.0f},       {-128, 0, 6, false, -128, 127, 0.3f},
    {5, 0, -7, false, -100, 90, 0.05f},      {0, 0, 0, true, -128, 127, 1.0f},
    {127, 0, -128, true, -128, 127, 1.0f},   {0, -128, 0, false, -128, 127, 1.0f},
    {-128, 127, -128, false, 0, 64, 1.0f},   {3, -5, 9, true, -128, 127, 1.0f},
    {127, -128, 0, false, -128, 127, 1e-6f},
};

// Calls product(y index, a index, b index) for every product.
template <typename Product>
void ForProducts(const MatmulCase& t, bool transpose_b, const Dims& y, Product product) {
  const size_t rank = y.size();
  size_t index = 0;
  for (size_t matrix = 0; matrix < Elements(y) / (t.m * t.n); ++matrix) {
    // Where the matrix lies in an operand: only its own dimensions above 1 count.
    const auto place = [&](const Dims& dims) {
      size_t at = 0, stride = 1, rest = matrix;
      for (size_t i = 0; i + 2 < rank; ++i) {
        const size_t dim = y[rank - 3 - i], position = rest % dim;
        rest /= dim;
        if (i >= dims.size()) continue;
        const size_t own = dims[dims.size() - 1 - i];
        if (own > 1) at += position * stride;
        stride *= own;
      }
      return at;
    };
    const size_t a = place(t.a) * t.m * t.k, b = place(t.b) * t.k * t.n;
    for (size_t i = 0; i < t.m; ++i)
      for (size_t j = 0; j < t.n; ++j, ++index)
        for (size_t k = 0; k < t.k; ++k)
          product(index, a + i * t.k + k, b + (transpose_b ? j * t.k + k : k * t.n + j));
  }
}

Dims With(const Dims& batch, uint32_t rows, uint32_t columns) {
  Dims dims = batch;
  dims.Add(rows);
  dims.Add(columns);
  return dims;
}

// The shapes of a, b and y.
struct Shapes {
  Dims a, b, y;

  Shapes(const MatmulCase& t, bool transpose_b)
      : a(With(t.a, t.m, t.k)), b(transpose_b ? With(t.b, t.n, t.k) : With(t.b, t.k, t.n)) {
    const size_t rank = t.a.size() > t.b.size() ? t.a.size() : t.b.size();
    for (size_t i = rank; i-- > 0;) {  // counted from the matrices
      const uint32_t left = i < t.a.size() ? t.a[t.a.size() - 1 - i] : 1,
                     right = i < t.b.size() ? t.b[t.b.size() - 1 - i] : 1;
      y.Add(left > right ? left : right);
    }
    y.Add(t.m);
    y.Add(t.n);
  }
};

// `constant_a`: a lies in the file.
template <typename T>
List<uint8_t> Build(const Shapes& s, bool transpose_b, const List<T>& a, bool constant_a,
                    ModelBuilder* m, uint32_t qa, uint32_t qb, ptq::DType y_dtype, uint32_t qy,
                    const ptq::ClampAttrs& clamp) {
  const uint32_t left = constant_a ? m->Constant("a", DTypeOf<T>(), s.a, a.data(), qa)
                                   : m->Input("a", DTypeOf<T>(), s.a, qa),
                 right = m->Input("b", DTypeOf<T>(), s.b, qb), y = m->Arena("y", y_dtype, s.y, qy);
  m->Op(ptq::kMatmul, "op", {left, right}, y, ptq::MatmulAttrs{transpose_b ? 1u : 0u, clamp});
  m->Output(y);
  return m->Finish();
}

template <typename T>
List<InputData> Inputs(const List<T>& a, bool constant_a, const List<T>& b) {
  List<InputData> inputs;
  if (!constant_a) inputs.Add(Bytes(a));
  inputs.Add(Bytes(b));
  return inputs;
}

void TestInt8(const MatmulCase& t, const QuantCase& q, bool transpose_b, bool extremes,
              bool constant_a, uint64_t seed) {
  Random random(seed);
  const Shapes s(t, transpose_b);
  // Extremes: nothing but the ends of int8, where sums of products are largest.
  const List<int8_t> a = extremes ? random.Int8s(Elements(s.a), -128, -127)
                                  : random.Int8s(Elements(s.a)),
                     b = extremes ? random.Int8s(Elements(s.b), -128, -127)
                                  : random.Int8s(Elements(s.b));
  List<int64_t> sums(Elements(s.y));
  ForProducts(t, transpose_b, s.y,
              [&](size_t y, size_t i, size_t j) { sums[y] += (a[i] - q.z_a) * (b[j] - q.z_b); });
  const float s_a = 0.0173f, s_b = 0.011f,
              s_out = q.output_scale * s_a * s_b * 5000.0f * sqrtf(static_cast<float>(t.k));
  ModelBuilder m;
  const uint32_t qa = m.Qparams(s_a, q.z_a), qb = m.Qparams(s_b, q.z_b),
                 qy = q.float_output ? ptq::kNone : m.Qparams(s_out, q.z_out);
  const ptq::ClampAttrs clamp = {-3.5f, 7.25f, q.q_min, q.q_max};
  const List<uint8_t> file = Build(s, transpose_b, a, constant_a, &m, qa, qb,
                                   q.float_output ? ptq::kF32 : ptq::kI8, qy, clamp);
  const List<InputData> inputs = Inputs(a, constant_a, b);
  if (q.float_output) {
    List<float> expected(sums.size());
    for (size_t i = 0; i < sums.size(); ++i) {
      const float value = static_cast<float>(static_cast<int32_t>(sums[i])) * (s_a * s_b);
      expected[i] = fminf(fmaxf(value, clamp.lo), clamp.hi);
    }
    Expect(file, inputs, expected, "i8 matmul, f32 output");
    return;
  }
  List<int8_t> expected(sums.size());
  for (size_t i = 0; i < sums.size(); ++i)
    expected[i] = ReferenceRequantize(sums[i], s_a * s_b / s_out, q.z_out, q.q_min, q.q_max);
  Expect(file, inputs, expected, "i8 matmul");
}

template <typename T>
void TestReal(const MatmulCase& t, bool transpose_b, bool constant_a, uint64_t seed) {
  Random random(seed);
  const Shapes s(t, transpose_b);
  const List<T> a = random.Reals<T>(Elements(s.a)), b = random.Reals<T>(Elements(s.b));
  List<double> expected(Elements(s.y)), magnitude(Elements(s.y));
  ForProducts(t, transpose_b, s.y, [&](size_t y, size_t i, size_t j) {
    const double product = ToDouble(a[i]) * ToDouble(b[j]);
    expected[y] += product;
    magnitude[y] += fabs(product);
  });
  const float lo = -3.0f, hi = seed % 2 == 0 ? 6.0f : INFINITY;
  for (size_t i = 0; i < expected.size(); ++i)
    expected[i] = fmin(fmax(expected[i], static_cast<double>(lo)), static_cast<double>(hi));
  ModelBuilder m;
  const List<uint8_t> file = Build(s, transpose_b, a, constant_a, &m, ptq::kNone, ptq::kNone,
                                   DTypeOf<T>(), ptq::kNone, {lo, hi, -128, 127});
  const size_t products = ptq::ProductRoundings(t.k);
  List<T> first;  // of an instruction set: the number of threads changes nothing
  char first_cpu[32] = "none";
  RunEverywhere(file, Inputs(a, constant_a, b), [&](const ptq_context* context) {
    const T* y = static_cast<const T*>(ptq_context_output(context, 0));
    WithinBound(y, expected.data(), magnitude.data(), products, expected.size(), "matmul");
    const char* cpu = getenv("PTQ_CPU");
    if (cpu == nullptr) cpu = "";
    if (strcmp(cpu, first_cpu) != 0) {
      snprintf(first_cpu, sizeof first_cpu, "%s", cpu);
      first = List<T>();
      first.Append(y, expected.size());
    }
    SameBytes(y, first.data(), expected.size(), "matmul, other thread count");
  });
}

// Of two vectors: on every CPU it loads, though a file of this size may not ask for much memory,
// and its sum, 2, is exact.
template <typename T>
void TestLongest() {
  constexpr uint32_t kProducts = 1 << 20;
  Row("longest vectors, %d bytes a number", static_cast<int>(sizeof(T)));
  const auto number = [](float value) -> T {
    if constexpr (sizeof(T) == 2) {
      return ptq::ToHalf(value);
    } else {
      return value;
    }
  };
  List<T> a(kProducts), b(kProducts);
  for (size_t i = 0; i < kProducts; ++i) {
    a[i] = number(1.0f);
    b[i] = number(i % 2 == 0 || i + 1 == kProducts ? 1.0f : -1.0f);
  }
  const Shapes s({{}, {}, 1, kProducts, 1}, false);
  ModelBuilder m;
  const List<uint8_t> file = Build(s, false, a, false, &m, ptq::kNone, ptq::kNone, DTypeOf<T>(),
                                   ptq::kNone, {-INFINITY, INFINITY, -128, 127});
  Expect(file, Inputs(a, false, b), List<T>{number(2.0f)}, "longest vectors");
}

struct Refusal {
  ptq::DType dtype;
  Dims a, b, y;
  int z_a, z_b;
  const char* words;
};

const Refusal kRefusals[] = {
    {ptq::kF32, {4}, {4, 2}, {2}, 0, 0, "inputs: ranks"},
    {ptq::kF32, {3, 4}, {5, 2}, {3, 2}, 0, 0, "b 'b' dims[0]: 5 instead of 4"},
    {ptq::kF32, {3, 4}, {4, 2}, {1, 3, 2}, 0, 0, "output 'y' rank"},
    {ptq::kF32, {2, 3, 4}, {3, 4, 2}, {3, 3, 2}, 0, 0, "do not broadcast"},
    {ptq::kF32, {2, 3, 4}, {4, 2}, {3, 3, 2}, 0, 0, "output 'y' dims[0]"},
    {ptq::kF32, {3, 4}, {4, 2}, {4, 2}, 0, 0, "output 'y' dims[0]"},
    {ptq::kF32, {3, 4}, {4, 2}, {3, 3}, 0, 0, "output 'y' dims[1]"},
    {ptq::kI8, {1, 33026}, {33026, 1}, {1, 1}, 127, -127, "sums: 33026 products"},
};

void TestRefusals() {
  for (size_t i = 0; i < sizeof kRefusals / sizeof kRefusals[0]; ++i) {
    const Refusal& t = kRefusals[i];
    Row("refusal %d", static_cast<int>(i));
    ModelBuilder m;
    const bool i8 = t.dtype == ptq::kI8;
    const uint32_t a = m.Input("a", t.dtype, t.a, i8 ? m.Qparams(0.1f, t.z_a) : ptq::kNone),
                   b = m.Input("b", t.dtype, t.b, i8 ? m.Qparams(0.1f, t.z_b) : ptq::kNone),
                   y = m.Arena("y", t.dtype, t.y, i8 ? m.Qparams(0.1f) : ptq::kNone);
    m.Op(ptq::kMatmul, "op", {a, b}, y, ptq::MatmulAttrs{0, {-INFINITY, INFINITY, -128, 127}});
    m.Output(y);
    ExpectRefused(m, t.words);
  }
}

}  // namespace

int main() {
  uint64_t seed = 1;
  for (size_t i = 0; i < sizeof kCases / sizeof kCases[0]; ++i) {
    for (const bool transpose_b : {false, true}) {
      for (size_t j = 0; j < sizeof kQuantCases / sizeof kQuantCases[0]; ++j) {
        for (const bool extremes : {false, true}) {
          if (extremes && j % 3 != 0) continue;  // sums alone are met, whatever becomes of them
          Row("i8 case %d, quantization %d, transposed %d, extremes %d", static_cast<int>(i),
              static_cast<int>(j), transpose_b, extremes);
          ++seed;
          TestInt8(kCases[i], kQuantCases[j], transpose_b, extremes, seed % 3 == 0, seed);
        }
      }
      Row("case %d, transposed %d", static_cast<int>(i), transpose_b);
      ++seed;
      TestReal<float>(kCases[i], transpose_b, seed % 3 == 0, seed);
      TestReal<ptq::Half>(kCases[i], transpose_b, seed % 3 == 1, seed);
    }
  }
  TestLongest<float>();
  TestLongest<ptq::Half>();
  TestRefusals();
  return Finish("matmul_test");
}
