// Elementwise kernels in half precision, Armv8.2: two registers at a time.
#include <arm_neon.h>

#include "kernels/elementwise/contract.h"
#include "kernels/tail.h"

namespace ptq {
namespace {

constexpr size_t kLanes = 16;

struct Vector {
  float16x8_t part[2];
};

PTQ_INLINE Vector Load(const Half* x) {
  return {
      {vreinterpretq_f16_u16(vld1q_u16(&x[0].bits)), vreinterpretq_f16_u16(vld1q_u16(&x[8].bits))}};
}

PTQ_INLINE void Store(Half* y, const Vector& v) {
  vst1q_u16(&y[0].bits, vreinterpretq_u16_f16(v.part[0]));
  vst1q_u16(&y[8].bits, vreinterpretq_u16_f16(v.part[1]));
}

// An operand that moves along the row.
struct Moving {
  const Half* x;
  PTQ_INLINE Vector At(size_t i) const { return Load(x + i); }
  PTQ_INLINE Vector Tail(size_t i, size_t count) const {
    Half tail[kLanes];
    PadTail<sizeof tail>(tail, x + i, count * sizeof(Half));
    return Load(tail);
  }
};

// An operand that is one value.
struct Constant {
  Vector value;
  explicit Constant(Half half) {
    value.part[0] = value.part[1] = vreinterpretq_f16_u16(vdupq_n_u16(half.bits));
  }
  PTQ_INLINE Vector At(size_t) const { return value; }
  PTQ_INLINE Vector Tail(size_t, size_t) const { return value; }
};

// y[i] = clamp(f(a[i], b[i])). The last elements pass through a whole vector like all others.
template <typename A, typename B, typename F>
PTQ_INLINE void Loop(const A& a, const B& b, const BinaryF16Row& row, F f) {
  const float16x8_t lo = vdupq_n_f16(static_cast<__fp16>(row.lo)),
                    hi = vdupq_n_f16(static_cast<__fp16>(row.hi));
  const auto apply = [&](const Vector& p, const Vector& q) __attribute__((always_inline)) {
    Vector y;
    for (size_t i = 0; i < 2; ++i)
      y.part[i] = vminq_f16(vmaxq_f16(f(p.part[i], q.part[i]), lo), hi);
    return y;
  };
  Half* y = row.y;
  const size_t count = row.count;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) Store(y + i, apply(a.At(i), b.At(i)));
  if (i == count) return;
  Half tail[kLanes];
  Store(tail, apply(a.Tail(i, count - i), b.Tail(i, count - i)));
  CopyTail<sizeof tail>(y + i, tail, (count - i) * sizeof(Half));
}

template <typename F>
PTQ_INLINE void Binary(const BinaryF16Row& row, F f) {
  const Moving a = {row.a}, b = {row.b};
  if (row.a_step != 0 && row.b_step != 0) {
    Loop(a, b, row, f);
  } else if (row.a_step != 0) {
    Loop(a, Constant(row.b[0]), row, f);
  } else if (row.b_step != 0) {
    Loop(Constant(row.a[0]), b, row, f);
  } else {
    Loop(Constant(row.a[0]), Constant(row.b[0]), row, f);
  }
}

}  // namespace

// A lambda of two vectors that is certain to be inlined.
#define PTQ_LAMBDA(expression) \
  [](float16x8_t a, float16x8_t b) __attribute__((always_inline)) { return expression; }

void add_f16_x16__neon_fp16(const BinaryF16Row& row) { Binary(row, PTQ_LAMBDA(vaddq_f16(a, b))); }
void sub_f16_x16__neon_fp16(const BinaryF16Row& row) { Binary(row, PTQ_LAMBDA(vsubq_f16(a, b))); }
void mul_f16_x16__neon_fp16(const BinaryF16Row& row) { Binary(row, PTQ_LAMBDA(vmulq_f16(a, b))); }
void div_f16_x16__neon_fp16(const BinaryF16Row& row) { Binary(row, PTQ_LAMBDA(vdivq_f16(a, b))); }
// NaN of either operand is the result, as in ONNX Max and Min.
void maximum_f16_x16__neon_fp16(const BinaryF16Row& row) {
  Binary(row, PTQ_LAMBDA(vmaxq_f16(a, b)));
}
void minimum_f16_x16__neon_fp16(const BinaryF16Row& row) {
  Binary(row, PTQ_LAMBDA(vminq_f16(a, b)));
}

void clamp_f16_x16__neon_fp16(const Half* x, Half* y, size_t count, float lo, float hi) {
  const auto same = PTQ_LAMBDA((static_cast<void>(b), a));
  Loop(Moving{x}, Constant({}), {x, x, 1, 0, y, count, lo, hi}, same);
}

#undef PTQ_LAMBDA

}  // namespace ptq
