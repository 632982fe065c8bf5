// sin, cos, atan and asinh of vectors of floats; as vector_math.h, by minimax fits of our own.
#ifndef PTQ_KERNELS_UNARY_TRIGONOMETRY_H_
#define PTQ_KERNELS_UNARY_TRIGONOMETRY_H_

#include "kernels/unary/vector_math.h"

namespace ptq {
namespace {

constexpr float kHalfPi = 1.57079637f;

// sin(x + quarters pi / 2). x = n pi / 2 + r with |r| <= pi / 4, pi / 2 in three parts, of which
// two have 9 bits: their products with n are exact up to 2^15. Beyond, the error grows with |x| to
// a few ulp of x; from 2^22 on, where that is more than the result, it is the sine of 2^22.
PTQ_INLINE VecF SinOfQuarters(VecF x, int32_t quarters) {
  constexpr float kPart1 = 0x1.92p+0f, kPart2 = 0x1.fbp-12f, kPart3 = 3.13916473e-07f;
  constexpr float kSin[] = {-0.166666552f, 0.00833217613f, -0.000195169778f};
  constexpr float kCos[] = {0.0416666567f, -0.00138877297f, 2.44768707e-05f};
  const VecF inside = AtMost(AtLeast(x, -0x1p22f), 0x1p22f);
  const VecF shifted = inside * 0.636619772f + kIntegers, n = shifted - kIntegers;
  const VecF r = ((inside - n * kPart1) - n * kPart2) - n * kPart3, z = r * r;
  const VecU quadrant = reinterpret_cast<VecU>(Bits(shifted) - kIntegersBits + quarters);
  const VecF sine = r + r * z * Polynomial(kSin, z);
  const VecF cosine = (1.0f - 0.5f * z) + z * z * Polynomial(kCos, z);
  const VecF y = Select((quadrant & 1) == 1, cosine, sine);
  const VecI sign = reinterpret_cast<VecI>((quadrant & 2) << 30);
  // Infinity has no sine.
  return Select(Abs(x) <= 0x1.fffffep127f, FromBits(Bits(y) ^ sign), Splat(__builtin_nanf("")));
}

// Within 4 ulp of max(|x|, 1); -0 is itself.
PTQ_INLINE VecF Sin(VecF x) { return Select(x == 0.0f, x, SinOfQuarters(x, 0)); }
PTQ_INLINE VecF Cos(VecF x) { return SinOfQuarters(x, 1); }

// Reduced to |t| <= tan(pi / 8) by atan(a) = pi / 2 - atan(1 / a) = pi / 4 + atan((a - 1) / (a +
// 1)): 2 ulp.
PTQ_INLINE VecF Atan(VecF x) {
  constexpr float kAtan[] = {-0.333333164f, 0.199984834f, -0.142437384f, 0.105951399f,
                             -0.0608115569f};
  const VecF a = Abs(x);
  const VecI large = a > 2.41421366f, middle = a > 0.414213568f;
  const VecF t = Select(large, -1.0f / a, Select(middle, (a - 1.0f) / (a + 1.0f), a));
  const VecF from = Select(large, Splat(kHalfPi), Select(middle, Splat(kHalfPi / 2), VecF{}));
  const VecF z = t * t;
  return WithSign(from + (t + t * z * Polynomial(kAtan, z)), x);
}

// log(a + sqrt(a^2 + 1)); below 0.7 log(1 + u) with u = a + a^2 / (1 + sqrt(a^2 + 1)) <= 1, which
// keeps small ones; log(2 a) where squares overflow: 3 ulp.
PTQ_INLINE VecF Asinh(VecF x) {
  const VecF a = Abs(x), b = AtMost(a, 0x1p60f), root = Sqrt(b * b + 1.0f);
  const VecI huge = a > 0x1p60f;
  const VecF log = Log(Select(huge, a, b + root)) + Select(huge, Splat(0.693147182f), VecF{});
  const VecF small = Log1p(AtMost(b + b * b / (1.0f + root), 1.0f));
  return WithSign(Select(a < 0.7f, small, log), x);
}

// -1, 1, 0, also of -0; NaN is itself.
PTQ_INLINE VecF Sign(VecF x) {
  return Select(x > 0.0f, Splat(1.0f), Select(x < 0.0f, Splat(-1.0f), x + 0.0f));
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_UNARY_TRIGONOMETRY_H_
