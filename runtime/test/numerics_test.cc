// Tests of numerics/requantize.h against the C library's rounding in double precision.
#include <math.h>

#include "numerics/requantize.h"
#include "test/support/compare.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

void TestRoundHalfEven() {
  // Every multiple of 1/4 up to 2^12, and around every power of two up to the limit 2^22: all ties,
  // and their neighbours.
  bool good = true;
  for (int i = -(1 << 14); i <= (1 << 14); ++i) {
    const float x = static_cast<float>(i) * 0.25f;
    for (float y : {nextafterf(x, -INFINITY), x, nextafterf(x, INFINITY)}) {
      good = good && ptq::RoundHalfEven(y) == static_cast<int32_t>(nearbyint(y));
    }
  }
  CHECK(good);
  for (int exponent = -126; exponent <= 22; ++exponent) {
    const float power = ldexpf(1.0f, exponent);
    for (float x :
         {power, power * 1.5f, power * 1.25f, nextafterf(power, 0), nextafterf(power, INFINITY)}) {
      if (x > 4194304.0f) continue;
      for (float y : {x, -x, x < 4194303.0f ? x + 0.5f : x, x < 4194303.0f ? -x - 0.5f : -x}) {
        CHECK(ptq::RoundHalfEven(y) == static_cast<int32_t>(nearbyint(y)));
      }
    }
  }
  Random random(1);
  for (int i = 0; i < 200000; ++i) {
    const float x =
        random.Float(-4194304.0f, 4194304.0f) / static_cast<float>(1 << random.Int(0, 22));
    good = good && ptq::RoundHalfEven(x) == static_cast<int32_t>(nearbyint(x));
  }
  CHECK(good);
}

void TestQuantizeToRange() {
  struct Bounds {
    int zero_point, q_min, q_max;
  } bounds[] = {{0, -128, 127}, {-128, -128, 127}, {127, -128, 127},
                {5, 5, 100},    {-3, 0, 0},        {17, -127, 127}};
  const float extremes[] = {0.0f,   -0.0f,         0.5f,           -0.5f,      1.5f,      2.5f,
                            -2.5f,  126.5f,        127.5f,         -128.5f,    255.5f,    -255.5f,
                            1e9f,   -1e9f,         3e38f,          -3e38f,     INFINITY,  -INFINITY,
                            1e-45f, 2147483648.0f, -2147483904.0f, 8388609.0f, 4194304.5f};
  Random random(2);
  for (const Bounds& b : bounds) {
    const ptq::OutputRange range = ptq::MakeOutputRange(b.zero_point, b.q_min, b.q_max);
    for (float x : extremes) {
      CHECK(ptq::QuantizeToRange(x, range) == ReferenceQuantize(x, b.zero_point, b.q_min, b.q_max));
    }
    CHECK(ptq::QuantizeToRange(NAN, range) ==
          b.q_min);  // refused by the contract, but must not be undefined
    bool good = true;
    for (int i = 0; i < 20000; ++i) {
      const float x = random.Float(-300, 300);
      good = good &&
             ptq::QuantizeToRange(x, range) == ReferenceQuantize(x, b.zero_point, b.q_min, b.q_max);
      const float tie = static_cast<float>(random.Int(-300, 300)) + 0.5f;
      good = good && ptq::QuantizeToRange(tie, range) ==
                         ReferenceQuantize(tie, b.zero_point, b.q_min, b.q_max);
    }
    CHECK(good);
  }
}

void TestRequantize() {
  const int32_t accumulators[] = {0,         1,         -1,         127,       16777215,
                                  16777216,  16777217,  16777219,   -16777217, 33554435,
                                  INT32_MAX, INT32_MIN, 2147483583, 1000003};
  const float multipliers[] = {1.0f,          0.5f,          0.25f,  1e-7f, 5.9604645e-8f,
                               3.0517578e-5f, 0.0039215689f, 1e-40f, 0.0f,  3e38f};
  const ptq::OutputRange range = ptq::MakeOutputRange(3, -128, 127);
  for (int32_t accumulator : accumulators) {
    for (float multiplier : multipliers) {
      CHECK(ptq::Requantize(accumulator, multiplier, range) ==
            ReferenceRequantize(accumulator, multiplier, 3, -128, 127));
    }
  }
  Random random(3);
  bool good = true;
  for (int i = 0; i < 300000; ++i) {
    const int32_t accumulator = static_cast<int32_t>(random.Next()) >> random.Int(0, 24);
    const float multiplier = ldexpf(random.Float(0.5f, 1.0f), -random.Int(0, 30));
    good = good && ptq::Requantize(accumulator, multiplier, range) ==
                       ReferenceRequantize(accumulator, multiplier, 3, -128, 127);
  }
  CHECK(good);
}

}  // namespace

int main() {
  TestRoundHalfEven();
  TestQuantizeToRange();
  TestRequantize();
  return Finish("numerics_test");
}
