// unary and lookup: the kernels' error in ulp over a sweep of all floats, special values,
// positions; then through the whole runtime, and what is refused.
#include <float.h>
#include <math.h>

#include "kernels/unary/contract.h"
#include "test/support/guarded.h"
#include "test/support/kernel_walk.h"
#include "test/support/one_op.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

double Sigmoid(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }
double Softplus(double x) { return fmax(x, 0.0) + log1p(exp(-fabs(x))); }

// What an error is relative to: the result, or for functions that multiply by x or cancel, x.
enum class Scale { kResult, kInput };

constexpr float kAlpha = 0.75f, kBeta = 0.4f;

// f in double, and the most that the kernel may differ, in ulp of `scale`. 0: bit for bit.
struct FunctionCase {
  ptq::UnaryFunction function;
  double (*reference)(double);
  Scale scale;
  double ulp;
};

const FunctionCase kFunctions[] = {
    {ptq::kUnarySigmoid, Sigmoid, Scale::kResult, 2.5},
    {ptq::kUnaryTanh, tanh, Scale::kResult, 2.5},
    {ptq::kUnaryHardSigmoid,
     [](double x) { return fmin(fmax(double{kAlpha} * x + double{kBeta}, 0.0), 1.0); },
     Scale::kInput, 2},
    {ptq::kUnaryHardSwish, [](double x) { return x * fmin(fmax(x / 6 + 0.5, 0.0), 1.0); },
     Scale::kInput, 2},
    {ptq::kUnaryLeakyRelu, [](double x) { return x < 0 ? double{kAlpha} * x : x; }, Scale::kResult,
     0.5},
    {ptq::kUnaryElu, [](double x) { return x < 0 ? double{kAlpha} * expm1(x) : x; }, Scale::kResult,
     2},
    {ptq::kUnaryExp, exp, Scale::kResult, 1},
    {ptq::kUnaryLog, log, Scale::kResult, 1},
    {ptq::kUnarySqrt, sqrt, Scale::kResult, 0.5},
    {ptq::kUnaryAbs, fabs, Scale::kResult, 0},
    {ptq::kUnaryNeg, [](double x) { return -x; }, Scale::kResult, 0},
    {ptq::kUnaryReciprocal, [](double x) { return 1 / x; }, Scale::kResult, 0.5},
    {ptq::kUnaryFloor, floor, Scale::kResult, 0},
    {ptq::kUnaryCeil, ceil, Scale::kResult, 0},
    {ptq::kUnaryRound, nearbyint, Scale::kResult, 0},
    {ptq::kUnarySoftplus, Softplus, Scale::kResult, 2},
    {ptq::kUnaryErf, erf, Scale::kResult, 1.5},
    {ptq::kUnarySilu, [](double x) { return x * Sigmoid(x); }, Scale::kInput, 3},
    {ptq::kUnaryMish, [](double x) { return x * tanh(Softplus(x)); }, Scale::kInput, 4},
    {ptq::kUnaryGelu, [](double x) { return x / 2 * (1 + erf(x / sqrt(2.0))); }, Scale::kInput, 2},
    {ptq::kUnarySign, [](double x) { return x > 0   ? 1.0
                                            : x < 0 ? -1.0
                                                    : x + 0.0; }, Scale::kResult,
     0},
    {ptq::kUnarySin, sin, Scale::kInput, 4},
    {ptq::kUnaryCos, cos, Scale::kInput, 4},
    {ptq::kUnaryAtan, atan, Scale::kResult, 2.5},
    {ptq::kUnaryAsinh, asinh, Scale::kResult, 3},
};

ptq::UnaryF32Row RowOf(ptq::UnaryFunction function, const float* x, float* y, size_t count) {
  const bool hard_sigmoid = function == ptq::kUnaryHardSigmoid;
  const bool has_alpha =
      hard_sigmoid || function == ptq::kUnaryLeakyRelu || function == ptq::kUnaryElu;
  return {function,  x,       y, count, has_alpha ? kAlpha : 0, hard_sigmoid ? kBeta : 0,
          -INFINITY, INFINITY};
}

// Armv7 NEON takes results and intermediate values below the smallest normal for zero.
#if defined(__arm__)
constexpr double kFlushed = FLT_MIN;
#else
constexpr double kFlushed = 0;
#endif

// One ulp of |x|, at least the smallest normal's.
double Ulp(double x) {
  int exponent;
  frexp(fmax(fabs(x), double{FLT_MIN}), &exponent);
  return ldexp(1.0, exponent - 24);
}

bool IsSubnormal(float x) { return x != 0 && fabsf(x) < FLT_MIN; }

void CheckValue(const FunctionCase& f, float x, float y) {
  const double exact = f.reference(static_cast<double>(x));
  const float rounded = static_cast<float>(exact);
  const bool zero = x == 0 && rounded == 0;  // whose sign says from where
  if (isnan(rounded) || isinf(rounded) || isinf(y) || f.ulp == 0 || zero) {
    if (isnan(rounded) ? isnan(y) : rounded == y && signbit(rounded) == signbit(y)) return;
  } else {
    const double scale = f.scale == Scale::kInput ? fmax(fabs(static_cast<double>(x)), 1.0) : exact;
    const double bound = f.ulp * Ulp(scale) + kFlushed;
    if (fabs(static_cast<double>(y) - exact) <= bound) return;
  }
  char text[120];
  snprintf(text, sizeof text, "function %d of %a is %a instead of %a", f.function,
           static_cast<double>(x), static_cast<double>(y), exact);
  Check(false, text, __FILE__, __LINE__);
}

// Floats of all signs and exponents: every 9973rd, and the special ones. Subnormal inputs are left
// out for Armv7.
List<float> Sweep() {
  List<float> x = {0.0f,       -0.0f,   INFINITY, -INFINITY, NAN,         1.0f,       -1.0f,
                   FLT_MIN,    FLT_MAX, -FLT_MAX, 0.5f,      1.5f,        2.5f,       -0.5f,
                   -2.5f,      88.7f,   88.8f,    -87.3f,    -104.5f,     8388607.5f, -4194304.5f,
                   8388609.0f, 0.9f,    -0.9f,    4.0f,      0.70710677f, 0.70710678f};
  for (uint64_t bits = 1; bits < (uint64_t{1} << 32); bits += 9973) {
    const uint32_t pattern = static_cast<uint32_t>(bits);
    float value;
    memcpy(&value, &pattern, sizeof value);
    if (!IsSubnormal(value) && !isnan(value)) x.Add(value);
  }
  return x;
}

void TestAccuracy(const ptq::UnaryF32Kernel& kernel) {
  static const List<float> x = Sweep();
  List<float> y(x.size());
  for (const FunctionCase& f : kFunctions) {
    Row("%s, function %d", kernel.name, f.function);
    kernel.run(RowOf(f.function, x.data(), y.data(), x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      // Bounds by the input say nothing where it is infinite, or where products overflow.
      if (f.scale == Scale::kInput && !(fabsf(x[i]) < 1e38f)) continue;
      CheckValue(f, x[i], y[i]);
    }
    CHECK(true);
  }
}

// The result of an element depends on nothing but the element; nothing beyond the row is touched.
void TestPositions(const ptq::UnaryF32Kernel& kernel) {
  Random random(61);
  const List<float> values = random.Floats(100, -6, 6);
  for (const FunctionCase& f : kFunctions) {
    Row("%s, function %d, positions", kernel.name, f.function);
    List<float> expected(values.size());
    for (size_t i = 0; i < values.size(); ++i)
      kernel.run(RowOf(f.function, values.data() + i, expected.data() + i, 1));
    for (size_t count : {1, 3, 4, 7, 8, 9, 16, 31, 32, 33, 63, 64, 65, 100}) {
      List<float> head;
      head.Append(values.data(), count);
      const Guarded<float> x(head, 0);
      Guarded<float> y(count);
      kernel.run(RowOf(f.function, x.data(), y.data(), count));
      for (size_t i = 0; i < count; ++i)
        CHECK(memcmp(&y[i], &expected[i], sizeof(float)) == 0 || isnan(y[i]));
    }
  }
}

// A kernel on halves gives what the portable kernel gives on the same floats, rounded; nothing
// beyond the row is touched.
void TestHalves(const ptq::UnaryF16Kernel& kernel) {
  Random random(64);
  const ptq::UnaryF32Kernel& portable = ptq::kUnaryF32Kernels[ptq::kUnaryF32Kernels.count - 1];
  for (const FunctionCase& f : kFunctions) {
    Row("%s, function %d", kernel.name, f.function);
    for (size_t count : {1, 3, 7, 8, 9, 16, 31, 32, 33, 100, 4000}) {
      const Guarded<ptq::Half> x(random.Halves(count, -6, 6), 0);
      List<float> wide(count), expected(count);
      for (size_t i = 0; i < count; ++i) wide[i] = ptq::ToFloat(x[i]);
      portable.run(RowOf(f.function, wide.data(), expected.data(), count));
      Guarded<ptq::Half> y(count);
      const ptq::UnaryF32Row row = RowOf(f.function, nullptr, nullptr, 0);
      kernel.run({f.function, x.data(), y.data(), count, row.alpha, row.beta, row.lo, row.hi});
      for (size_t i = 0; i < count; ++i) {
        CHECK(y[i].bits == ptq::ToHalf(expected[i]).bits ||
              (isnan(expected[i]) && isnan(ptq::ToFloat(y[i]))));
      }
    }
  }
}

void TestOperators() {
  Random random(62);
  for (const Dims& dims : {Dims{}, Dims{7}, Dims{1, 50, 50, 19}}) {
    const List<float> x = random.Floats(Elements(dims), -6, 6);
    for (const FunctionCase& f : kFunctions) {
      Row("function %d of rank %d", f.function, static_cast<int>(dims.size()));
      const ptq::UnaryF32Row row = RowOf(f.function, nullptr, nullptr, 0);
      const ptq::UnaryAttrs attrs = {f.function, row.alpha, row.beta, {-0.5f, 0.5f, 0, 0}};
      RunEverywhere(OneOp<float>(ptq::kUnary, dims, dims, attrs).Finish(), {Bytes(x)},
                    [&](const ptq_context* context) {
                      const float* y = static_cast<const float*>(ptq_context_output(context, 0));
                      for (size_t i = 0; i < x.size(); ++i) {
                        const double exact = f.reference(static_cast<double>(x[i]));
                        if (exact >= -0.5 && exact <= 0.5) {
                          CheckValue(f, x[i], y[i]);
                        } else if (!isnan(exact)) {
                          CHECK(fabs(static_cast<double>(y[i])) > 0.5 - 1e-6);
                        }
                      }
                    });
    }
  }
}

void TestLookup() {
  Random random(63);
  const List<int8_t> table = random.Int8s(256);
  for (const Dims& dims : {Dims{}, Dims{5}, Dims{1, 60, 60, 19}}) {
    Row("lookup of rank %d", static_cast<int>(dims.size()));
    const List<int8_t> x = random.Int8s(Elements(dims));
    List<int8_t> expected(x.size());
    for (size_t i = 0; i < x.size(); ++i) expected[i] = table[static_cast<size_t>(x[i] + 128)];
    ModelBuilder m;
    const uint32_t q = m.Qparams(0.2f, 7);
    const uint32_t tx = m.Input("x", ptq::kI8, dims, m.Qparams(0.1f)),
                   t = m.Constant("t", ptq::kI8, Dims{256}, table.data(), q),
                   ty = m.Arena("y", ptq::kI8, dims, q);
    m.Op(ptq::kLookup, "op", {tx, t}, ty);
    m.Output(ty);
    Expect(m.Finish(), {Bytes(x)}, expected, "lookup");
  }
  const auto refuse = [&](const Dims& table_dims, bool constant, bool same_qparams,
                          const char* words) {
    Row("lookup refusal: %s", words);
    ModelBuilder m;
    const uint32_t q = m.Qparams(0.2f, 7);
    const uint32_t tx = m.Input("x", ptq::kI8, Dims{5}, q);
    const uint32_t t = constant ? m.Constant("t", ptq::kI8, table_dims, table.data(), q)
                                : m.Input("t", ptq::kI8, table_dims, q);
    const uint32_t ty = m.Arena("y", ptq::kI8, Dims{5}, same_qparams ? q : m.Qparams(0.2f, 6));
    m.Op(ptq::kLookup, "op", {tx, t}, ty);
    m.Output(ty);
    ExpectRefused(m, words);
  };
  refuse({255}, true, true, "table 't' dims[0]: 255 instead of 256");
  refuse({16, 16}, true, true, "table 't' rank");
  refuse({256}, false, true, "table 't' storage");
  refuse({256}, true, false, "qparams");
}

void TestRefusals() {
  const ptq::ClampAttrs none = {-INFINITY, INFINITY, -128, 127};
  const auto refuse = [](const ptq::UnaryAttrs& attrs, const Dims& y, const char* words) {
    Row("unary refusal: %s", words);
    ExpectRefused(OneOp<float>(ptq::kUnary, {5}, y, attrs), words);
  };
  refuse({25, 0, 0, none}, {5}, "function: 25");
  refuse({UINT32_MAX, 0, 0, none}, {5}, "function: 4294967295");
  refuse({ptq::kUnaryExp, 1, 0, none}, {5}, "alpha: 1");
  refuse({ptq::kUnaryElu, 1, 2, none}, {5}, "beta: 2");
  refuse({ptq::kUnaryHardSigmoid, NAN, 0, none}, {5}, "alpha");
  refuse({ptq::kUnaryHardSigmoid, 1, INFINITY, none}, {5}, "beta: inf");
  refuse({ptq::kUnaryExp, 0, 0, {NAN, 0, 0, 0}}, {5}, "clamp");
  refuse({ptq::kUnaryExp, 0, 0, none}, {6}, "dims[0]: 6 instead of 5");
  ExpectRefused(OneOp<int8_t>(ptq::kUnary, {5}, {5}, ptq::UnaryAttrs{ptq::kUnaryExp, 0, 0, none}),
                "x 'x' dtype: i8");
}

}  // namespace

int main() {
  WalkList("unary", ptq::kUnaryF32Kernels, TestAccuracy);
  WalkList("unary", ptq::kUnaryF32Kernels, TestPositions);
  WalkHalfList("unary f16", ptq::kUnaryF16Kernels, TestHalves);
  TestOperators();
  TestLookup();
  TestRefusals();
  return Finish("unary_test");
}
