// Float elementwise kernels over the vectors of kernels/vector.h. Included once per instruction
// set.
#ifndef PTQ_KERNELS_ELEMENTWISE_PLAIN_H_
#define PTQ_KERNELS_ELEMENTWISE_PLAIN_H_

#include "kernels/elementwise/contract.h"
#include "kernels/tail.h"
#include "kernels/vector.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

// An operand that moves along the row.
struct Moving {
  const float* x;
  PTQ_INLINE VecF At(size_t i) const { return Load(x + i); }
  PTQ_INLINE VecF Tail(size_t i, size_t count) const {
    float tail[kLanes];
    PadTail<kLanes * sizeof(float)>(tail, x + i, count * sizeof(float));
    return Load(tail);
  }
};

// An operand that is one value.
struct Constant {
  VecF value;
  PTQ_INLINE VecF At(size_t) const { return value; }
  PTQ_INLINE VecF Tail(size_t, size_t) const { return value; }
};

// y[i] = clamp(f(a[i], b[i])). The last elements pass through a whole vector like all others.
template <typename A, typename B, typename F>
PTQ_INLINE void Loop(const A& a, const B& b, const BinaryF32Row& row, F f) {
  const float lo = row.lo, hi = row.hi;
  float* y = row.y;
  const size_t count = row.count;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    Store(y + i, AtMost(AtLeast(f(a.At(i), b.At(i)), lo), hi));
  if (i == count) return;
  float tail[kLanes];
  Store(tail, AtMost(AtLeast(f(a.Tail(i, count - i), b.Tail(i, count - i)), lo), hi));
  CopyTail<kLanes * sizeof(float)>(y + i, tail, (count - i) * sizeof(float));
}

template <typename F>
PTQ_INLINE void Binary(const BinaryF32Row& row, F f) {
  const Moving a = {row.a}, b = {row.b};
  if (row.a_step != 0 && row.b_step != 0) {
    Loop(a, b, row, f);
  } else if (row.a_step != 0) {
    Loop(a, Constant{Splat(row.b[0])}, row, f);
  } else if (row.b_step != 0) {
    Loop(Constant{Splat(row.a[0])}, b, row, f);
  } else {
    Loop(Constant{Splat(row.a[0])}, Constant{Splat(row.b[0])}, row, f);
  }
}

// A lambda of two vectors that is certain to be inlined.
#define PTQ_LAMBDA(expression) \
  [](VecF a, VecF b) __attribute__((always_inline)) { return expression; }

PTQ_INLINE void AddF32(const BinaryF32Row& row) { Binary(row, PTQ_LAMBDA(a + b)); }
PTQ_INLINE void SubF32(const BinaryF32Row& row) { Binary(row, PTQ_LAMBDA(a - b)); }
PTQ_INLINE void MulF32(const BinaryF32Row& row) { Binary(row, PTQ_LAMBDA(a * b)); }
PTQ_INLINE void DivF32(const BinaryF32Row& row) { Binary(row, PTQ_LAMBDA(a / b)); }
// NaN of either operand is the result, as in ONNX Max and Min.
PTQ_INLINE void MaximumF32(const BinaryF32Row& row) {
  Binary(row, PTQ_LAMBDA(Select((a > b) | (a != a), a, b)));
}
PTQ_INLINE void MinimumF32(const BinaryF32Row& row) {
  Binary(row, PTQ_LAMBDA(Select((a < b) | (a != a), a, b)));
}

PTQ_INLINE void ClampF32(const float* x, float* y, size_t count, float lo, float hi) {
  const auto same = [](VecF a, VecF) __attribute__((always_inline)) { return a; };
  Loop(Moving{x}, Constant{}, {x, x, 1, 0, y, count, lo, hi}, same);
}

#undef PTQ_LAMBDA

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_ELEMENTWISE_PLAIN_H_
