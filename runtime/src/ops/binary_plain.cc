// add, sub, mul, div, maximum, minimum and mod of integers, which wrap around; mod of f32.
#include "ops/binary_plain.h"

#include <math.h>

#include "ops/plain_rows.h"

namespace ptq {
namespace {

// All integers in 64 bits, whose low bits are those of a narrower sum, difference or product.
template <typename T>
bool Add(T a, T b, T* y) {
  *y = static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  return true;
}

template <typename T>
bool Sub(T a, T b, T* y) {
  *y = static_cast<T>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
  return true;
}

template <typename T>
bool Mul(T a, T b, T* y) {
  *y = static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  return true;
}

// Of the divisor -1, whose quotient of the least number does not fit.
template <typename T>
bool IsMinusOne(T b) {
  return static_cast<T>(-1) < 0 && b == static_cast<T>(-1);
}

template <typename T>
bool Div(T a, T b, T* y) {
  if (IsMinusOne(b)) return Sub<T>(0, a, y);
  *y = b == 0 ? 0 : static_cast<T>(a / b);
  return b != 0;
}

// With the sign of b.
template <typename T>
bool Mod(T a, T b, T* y) {
  const bool divides = b != 0 && !IsMinusOne(b);
  const T rest = divides ? static_cast<T>(a % b) : 0;
  *y = rest != 0 && (rest < 0) != (b < 0) ? static_cast<T>(rest + b) : rest;
  return b != 0;
}

// With the sign of a.
bool Fmod(float a, float b, float* y) {
  *y = fmodf(a, b);
  return true;
}

template <typename T>
bool Maximum(T a, T b, T* y) {
  *y = Max(a, b);
  return true;
}

template <typename T>
bool Minimum(T a, T b, T* y) {
  *y = Min(a, b);
  return true;
}

template <typename T>
PlainRow RowOf(uint16_t kind) {
  switch (kind) {
    case kAdd:
      return PlainRowOf<T, T, Add<T>>;
    case kSub:
      return PlainRowOf<T, T, Sub<T>>;
    case kMul:
      return PlainRowOf<T, T, Mul<T>>;
    case kDiv:
      return PlainRowOf<T, T, Div<T>>;
    case kMod:
      return PlainRowOf<T, T, Mod<T>>;
    case kMaximum:
      return PlainRowOf<T, T, Maximum<T>>;
    default:
      return PlainRowOf<T, T, Minimum<T>>;
  }
}

PlainRow RowOf(DType dtype, uint16_t kind) {
  switch (dtype) {
    case kF32:
      return PlainRowOf<float, float, Fmod>;
    case kI32:
      return RowOf<int32_t>(kind);
    case kI64:
      return RowOf<int64_t>(kind);
    default:
      return RowOf<uint8_t>(kind);
  }
}

}  // namespace

ptq_status PrepareBinaryPlain(PreparedOp* op) {
  op->failure = "a divisor is 0";
  return PreparePlainRows(RowOf(op->Input(0)->dtype, op->op->kind->id), "binary_plain__scalar", op);
}

}  // namespace ptq
