// Elementary functions of vectors of floats. Every operation is one IEEE operation per lane, so a
// result depends neither on the lane nor on the instruction set (but Armv7 NEON flushes subnormals
// to zero). Errors are in units in the last place (ulp), the largest over all floats; unary_test.cc
// holds them.
//
// The shape of exp and log (reduction by ln 2 in two parts, polynomial, exponent put back as bits)
// is that of Cody & Waite, Software Manual for the Elementary Functions, 1980. Polynomials are
// minimax fits with coefficients rounded to float32.
#ifndef PTQ_KERNELS_UNARY_VECTOR_MATH_H_
#define PTQ_KERNELS_UNARY_VECTOR_MATH_H_

#include "kernels/vector.h"

namespace ptq {
namespace {

constexpr float kInf = __builtin_inff();
constexpr float kLn2Hi = 0x1.62e4p-1f;    // 15 bits: its product with an exponent is exact
constexpr float kLn2Lo = 1.42860677e-6f;  // ln 2 - kLn2Hi
constexpr float kIntegers = 12582912.0f;  // 1.5 * 2^23: floats around it are the integers
constexpr int32_t kIntegersBits = 0x4B400000;

PTQ_INLINE VecF Abs(VecF x) { return FromBits(Bits(x) & 0x7FFFFFFF); }
// `magnitude` >= 0 with the sign of `sign`.
PTQ_INLINE VecF WithSign(VecF magnitude, VecF sign) {
  return FromBits(Bits(magnitude) | (Bits(sign) & INT32_MIN));
}
// c[0] + c[1] x + ... + c[N - 1] x^(N - 1) by Horner's rule.
template <size_t N>
PTQ_INLINE VecF Polynomial(const float (&c)[N], VecF x) {
  VecF sum = Splat(c[N - 1]);
  for (size_t i = N - 1; i-- > 0;) sum = sum * x + c[i];
  return sum;
}

// x = n ln 2 + r with |r| <= ln 2 / 2, for |x| < 2^15; returns expm1(r).
PTQ_INLINE VecF ReducedExpm1(VecF x, VecI* n) {
  constexpr float kExpm1[] = {0.5f, 0.166665167f, 0.0416664332f, 0.00836913846f, 0.00139378721f};
  const VecF shifted = x * 1.44269504f + kIntegers, integer = shifted - kIntegers;
  *n = Bits(shifted) - kIntegersBits;
  const VecF r = (x - integer * kLn2Hi) - integer * kLn2Lo;
  return r + r * r * Polynomial(kExpm1, r);
}

// 2^n, -126 <= n <= 127.
PTQ_INLINE VecF PowerOfTwo(VecI n) {
  return reinterpret_cast<VecF>(reinterpret_cast<VecU>(n + 127) << 23);
}

// e^x: 1 ulp; 0 and infinity where they are the nearest float.
PTQ_INLINE VecF Exp(VecF x) {
  VecI n;
  const VecF p = 1.0f + ReducedExpm1(AtMost(AtLeast(x, -104.0f), 89.0f), &n);
  const VecI half = n >> 1;  // in two steps: n is -150 ... 128
  return p * PowerOfTwo(half) * PowerOfTwo(n - half);
}

// e^x - 1 for x <= 44: 1 ulp.
PTQ_INLINE VecF Expm1(VecF x) {
  VecI n;
  const VecF p = ReducedExpm1(AtLeast(x, -40.0f), &n), scale = PowerOfTwo(n);
  return scale * p + (scale - 1.0f);
}

// log(1 + f) + n ln 2 for sqrt(1/2) - 1 <= f <= sqrt(2) - 1.
PTQ_INLINE VecF ReducedLog1p(VecF f, VecF n) {
  constexpr float kLog1p[] = {0.333333164f, -0.250008285f, 0.200023398f, -0.166239202f,
                              0.141793877f, -0.131334081f, 0.128973305f, -0.078668043f};
  const VecF z = f * f;
  VecF tail = f * z * Polynomial(kLog1p, f);
  tail = tail + n * kLn2Lo;
  tail = tail - 0.5f * z;
  return (tail + f) + n * kLn2Hi;
}

// log(x): 1 ulp; NaN below 0.
PTQ_INLINE VecF Log(VecF x) {
  constexpr uint32_t kSqrtHalfBits = 0x3F3504F3;
  const VecI subnormal = x < 0x1p-126f;
  const VecU bits = reinterpret_cast<VecU>(Select(subnormal, x * 0x1p23f, x)) - kSqrtHalfBits;
  const VecI exponent = reinterpret_cast<VecI>(bits) >> 23;
  const VecF mantissa = reinterpret_cast<VecF>((bits & 0x7FFFFF) + kSqrtHalfBits);
  const VecF n = __builtin_convertvector(exponent - (subnormal & 23), VecF);
  VecF y = ReducedLog1p(mantissa - 1.0f, n);
  y = Select(x > 0x1.fffffep127f, x, y);
  y = Select(x == 0.0f, Splat(-kInf), y);
  return Select(x >= 0.0f, y, Splat(__builtin_nanf("")));
}

// log(1 + u) for 0 <= u <= 1. Above sqrt(2) - 1 it is ln 2 + log(1 + (u - 1) / 2).
PTQ_INLINE VecF Log1p(VecF u) {
  const VecI large = u > 0.414213562f;
  return ReducedLog1p(Select(large, (u - 1.0f) * 0.5f, u), Select(large, Splat(1.0f), VecF{}));
}

// 1 / (1 + e^-x), by e^-|x| which cannot overflow: 2.5 ulp.
PTQ_INLINE VecF Sigmoid(VecF x) {
  const VecF e = Exp(-Abs(x));
  return Select(x < 0.0f, e, Splat(1.0f)) / (1.0f + e);
}

// (e^2a - 1) / (e^2a + 1) of a = |x|; 1 from 10 on: 2.5 ulp.
PTQ_INLINE VecF Tanh(VecF x) {
  const VecF e = Expm1(2.0f * AtMost(Abs(x), 10.0f));
  return WithSign(e / (e + 2.0f), x);
}

// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|): 2 ulp.
PTQ_INLINE VecF Softplus(VecF x) { return Select(x > 0.0f, x, VecF{}) + Log1p(Exp(-Abs(x))); }

// x + x p(x^2) below 0.9, else 1 - e^-q(|x|), where q fits -log(erfc); 1 from 4 on: 1.5 ulp.
PTQ_INLINE VecF Erf(VecF x) {
  constexpr float kSmall[] = {0.128379166f,   -0.376126319f,    0.112836815f,  -0.0268590227f,
                              0.00520072179f, -0.000814415806f, 8.3922685e-05f};
  constexpr float kLarge[] = {0.000177487527f, 1.12774956f,    0.637059808f,    0.104037262f,
                              -0.0222770181f,  0.00305558601f, -0.000197179383f};
  const VecF a = AtMost(Abs(x), 4.0f);
  const VecF large = WithSign(1.0f - Exp(-Polynomial(kLarge, a)), x);
  return Select(a < 0.9f, x + x * Polynomial(kSmall, x * x), large);
}

// x tanh(softplus(x)) with tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2), e = e^x: 4 ulp of x.
PTQ_INLINE VecF Mish(VecF x) {
  const VecF e = Exp(AtMost(x, 20.0f)), w = e * (e + 2.0f);
  return x * (w / (w + 2.0f));
}

// Half to even. |x| + 2^23 leaves no fraction bits; from 2^23 on x has none.
PTQ_INLINE VecF RoundHalfEven(VecF x) {
  const VecF a = Abs(x), rounded = (a + 0x1p23f) - 0x1p23f;
  return Select(a < 0x1p23f, WithSign(rounded, x), x);
}

PTQ_INLINE VecF Floor(VecF x) {
  const VecF rounded = RoundHalfEven(x);
  return Select(rounded > x, rounded - 1.0f, rounded);
}

PTQ_INLINE VecF Ceil(VecF x) { return -Floor(-x); }

PTQ_INLINE VecF Sqrt(VecF x) {
#if defined(__clang_major__) && __clang_major__ >= 17
  return __builtin_elementwise_sqrt(x);
#else
  for (size_t i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_UNARY_VECTOR_MATH_H_
