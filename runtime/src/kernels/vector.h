// Vectors of floats in the compiler's vector extension: one text for every instruction set,
// included once per kernel file so that the file's flags decide the registers. Explicit vectors
// instead of loops to be vectorised: compilers do not vectorise float loops for Armv7 NEON (it
// flushes subnormals to zero), and the width must not depend on their mood.
#ifndef PTQ_KERNELS_VECTOR_H_
#define PTQ_KERNELS_VECTOR_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "base/math.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

#if defined(__AVX512F__)
constexpr size_t kRegisterLanes = 16;
#elif defined(__AVX2__)
constexpr size_t kRegisterLanes = 8;
#else
constexpr size_t kRegisterLanes = 4;
#endif
// Two registers, so that one chain of dependent operations fills the latency of the other.
constexpr size_t kLanes = 2 * kRegisterLanes;

typedef float VecF __attribute__((vector_size(4 * kLanes)));
typedef int32_t VecI __attribute__((vector_size(4 * kLanes)));
typedef uint32_t VecU __attribute__((vector_size(4 * kLanes)));  // for what may wrap around

// For what a whole vector is too wide.
typedef float RegisterF __attribute__((vector_size(4 * kRegisterLanes)));
typedef float Vec4F __attribute__((vector_size(16)));

template <typename V = VecF>
PTQ_INLINE V Load(const void* x) {
  V value;
  memcpy(&value, x, sizeof value);
  return value;
}
template <typename V>
PTQ_INLINE void Store(void* y, V value) {
  memcpy(y, &value, sizeof value);
}

PTQ_INLINE VecF Splat(float value) { return value - VecF{}; }
PTQ_INLINE VecI Bits(VecF x) { return reinterpret_cast<VecI>(x); }
PTQ_INLINE VecF FromBits(VecI bits) { return reinterpret_cast<VecF>(bits); }
PTQ_INLINE VecF Select(VecI mask, VecF yes, VecF no) {
  return FromBits((mask & Bits(yes)) | (~mask & Bits(no)));
}
// Like Clamp of base/math.h, NaN passes.
#if defined(__ARM_NEON)
// One instruction, which compilers do not find in the comparison.
PTQ_INLINE VecF AtLeast(VecF x, float lo) {
  float32x4_t part[2];
  memcpy(part, &x, sizeof x);
  for (float32x4_t& value : part) value = vmaxq_f32(value, vdupq_n_f32(lo));
  memcpy(&x, part, sizeof x);
  return x;
}
PTQ_INLINE VecF AtMost(VecF x, float hi) {
  float32x4_t part[2];
  memcpy(part, &x, sizeof x);
  for (float32x4_t& value : part) value = vminq_f32(value, vdupq_n_f32(hi));
  memcpy(&x, part, sizeof x);
  return x;
}
#else
PTQ_INLINE VecF AtLeast(VecF x, float lo) { return Select(x < lo, Splat(lo), x); }
PTQ_INLINE VecF AtMost(VecF x, float hi) { return Select(x > hi, Splat(hi), x); }
#endif

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_VECTOR_H_
