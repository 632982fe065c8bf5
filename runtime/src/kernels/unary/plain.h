// The unary kernel over the vectors of vector_math.h. Included once per instruction set.
#ifndef PTQ_KERNELS_UNARY_PLAIN_H_
#define PTQ_KERNELS_UNARY_PLAIN_H_

#include "kernels/unary/contract.h"
#include "kernels/unary/trigonometry.h"
#include "kernels/unary/vector_math.h"

namespace ptq {
namespace {

PTQ_INLINE VecF LoadReal(const float* x) { return Load(x); }
PTQ_INLINE void StoreReal(float* y, VecF value) { Store(y, value); }
#if defined(__aarch64__)
typedef __fp16 VecHalf __attribute__((vector_size(2 * kLanes)));
PTQ_INLINE VecF LoadReal(const Half* x) { return __builtin_convertvector(Load<VecHalf>(x), VecF); }
PTQ_INLINE void StoreReal(Half* y, VecF value) {
  Store(y, __builtin_convertvector(value, VecHalf));
}
#endif

// The last elements pass through a whole vector like all others.
template <typename T, typename F>
PTQ_INLINE void Map(const UnaryRealRow<T>& row, F f) {
  const auto apply = [&](const T* x, T* y) __attribute__((always_inline)) {
    StoreReal(y, AtMost(AtLeast(f(LoadReal(x)), row.lo), row.hi));
  };
  size_t i = 0;
  for (; i + kLanes <= row.count; i += kLanes) apply(row.x + i, row.y + i);
  if (i == row.count) return;
  T tail[kLanes] = {};
  memcpy(tail, row.x + i, (row.count - i) * sizeof(T));
  apply(tail, tail);
  memcpy(row.y + i, tail, (row.count - i) * sizeof(T));
}

// A lambda around a vector function that is certain to be inlined.
#define PTQ_LAMBDA(expression) [=](VecF x) __attribute__((always_inline)) { return expression; }

template <typename T>
PTQ_INLINE void Row(const UnaryRealRow<T>& row) {
  const float alpha = row.alpha, beta = row.beta;
  switch (row.function) {
    case kUnarySigmoid:
      return Map(row, PTQ_LAMBDA(Sigmoid(x)));
    case kUnaryTanh:
      return Map(row, PTQ_LAMBDA(Tanh(x)));
    case kUnaryHardSigmoid:
      return Map(row, PTQ_LAMBDA(AtMost(AtLeast(alpha * x + beta, 0.0f), 1.0f)));
    case kUnaryHardSwish:
      return Map(row, PTQ_LAMBDA(x * AtMost(AtLeast(x * (1.0f / 6.0f) + 0.5f, 0.0f), 1.0f)));
    case kUnaryLeakyRelu:
      return Map(row, PTQ_LAMBDA(Select(x < 0.0f, alpha * x, x)));
    case kUnaryElu:
      return Map(row, PTQ_LAMBDA(Select(x < 0.0f, alpha * Expm1(AtMost(x, 0.0f)), x)));
    case kUnaryExp:
      return Map(row, PTQ_LAMBDA(Exp(x)));
    case kUnaryLog:
      return Map(row, PTQ_LAMBDA(Log(x)));
    case kUnarySqrt:
      return Map(row, PTQ_LAMBDA(Sqrt(x)));
    case kUnaryAbs:
      return Map(row, PTQ_LAMBDA(Abs(x)));
    case kUnaryNeg:
      return Map(row, PTQ_LAMBDA(-x));
    case kUnaryReciprocal:
      return Map(row, PTQ_LAMBDA(1.0f / x));
    case kUnaryFloor:
      return Map(row, PTQ_LAMBDA(Floor(x)));
    case kUnaryCeil:
      return Map(row, PTQ_LAMBDA(Ceil(x)));
    case kUnaryRound:
      return Map(row, PTQ_LAMBDA(RoundHalfEven(x)));
    case kUnarySoftplus:
      return Map(row, PTQ_LAMBDA(Softplus(x)));
    case kUnaryErf:
      return Map(row, PTQ_LAMBDA(Erf(x)));
    case kUnarySilu:
      return Map(row, PTQ_LAMBDA(x * Sigmoid(x)));
    case kUnaryMish:
      return Map(row, PTQ_LAMBDA(Mish(x)));
    case kUnaryGelu:
      return Map(row, PTQ_LAMBDA(0.5f * x * (1.0f + Erf(x * 0.707106781f))));
    case kUnarySign:
      return Map(row, PTQ_LAMBDA(Sign(x)));
    case kUnarySin:
      return Map(row, PTQ_LAMBDA(Sin(x)));
    case kUnaryCos:
      return Map(row, PTQ_LAMBDA(Cos(x)));
    case kUnaryAtan:
      return Map(row, PTQ_LAMBDA(Atan(x)));
    case kUnaryAsinh:
      return Map(row, PTQ_LAMBDA(Asinh(x)));
    case kUnaryFunctionCount:
      break;
  }
}

#undef PTQ_LAMBDA

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_UNARY_PLAIN_H_
