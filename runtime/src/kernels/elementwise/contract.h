// Elementwise kernels on rows: y[i] = f(a[i], b[i]). A broadcast operand has step 0, else 1. y may
// be an operand that moves.
#ifndef PTQ_KERNELS_ELEMENTWISE_CONTRACT_H_
#define PTQ_KERNELS_ELEMENTWISE_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "numerics/half.h"
#include "numerics/requantize.h"

namespace ptq {

// T: float, or Half for kernels that compute in half precision.
template <typename T>
struct BinaryRealRow {
  const T *a, *b;
  size_t a_step, b_step;  // 0 or 1
  T* y;
  size_t count;
  float lo, hi;
};
using BinaryF32Row = BinaryRealRow<float>;
using BinaryF16Row = BinaryRealRow<Half>;

struct BinaryI8Row {
  const int8_t *a, *b;
  size_t a_step, b_step;
  int8_t* y;
  size_t count;
  int32_t a_zero_point, b_zero_point;
  // add, sub: s_a / s_out and s_b / s_out; mul: (s_a * s_b) / s_out and nothing.
  float a_multiplier, b_multiplier;
  OutputRange range;
};

template <typename T>
struct BinaryRealKernel {
  const char* name;
  uint32_t requires_features;
  uint16_t op;  // OpKindId: kAdd, kSub, kMul, kDiv, kMaximum, kMinimum or, on floats, kPow
  void (*run)(const BinaryRealRow<T>&);
};
using BinaryF32Kernel = BinaryRealKernel<float>;
using BinaryF16Kernel = BinaryRealKernel<Half>;

struct BinaryI8Kernel {
  const char* name;
  uint32_t requires_features;
  uint16_t op;  // OpKindId: kAdd, kSub or kMul
  void (*run)(const BinaryI8Row&);
};

template <typename T>
struct ClampRealKernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const T* x, T* y, size_t count, float lo, float hi);
};
using ClampF32Kernel = ClampRealKernel<float>;
using ClampF16Kernel = ClampRealKernel<Half>;

// For each op the best kernel first, a scalar one last.
extern const BinaryF32Kernel kBinaryF32Kernels[];
extern const size_t kBinaryF32KernelCount;
extern const BinaryI8Kernel kBinaryI8Kernels[];
extern const size_t kBinaryI8KernelCount;
extern const ClampF32Kernel kClampF32Kernels[];
extern const size_t kClampF32KernelCount;
// Only for CPUs that compute in half precision; null where there are none. The clamp needs no such
// CPU: its list has a row for every one.
extern const BinaryF16Kernel* const kBinaryF16Kernels;
extern const size_t kBinaryF16KernelCount;
extern const ClampF16Kernel kClampF16Kernels[];
extern const size_t kClampF16KernelCount;

// The first kernel for `op` that `features` allows; null if the list has none for `op`.
const BinaryF32Kernel* SelectBinaryF32Kernel(uint16_t op, uint32_t features);
const BinaryF16Kernel* SelectBinaryF16Kernel(uint16_t op, uint32_t features);
const BinaryI8Kernel* SelectBinaryI8Kernel(uint16_t op, uint32_t features);

// One file per instruction set.
void add_f32_x8__scalar(const BinaryF32Row& row);
void sub_f32_x8__scalar(const BinaryF32Row& row);
void mul_f32_x8__scalar(const BinaryF32Row& row);
void div_f32_x8__scalar(const BinaryF32Row& row);
void maximum_f32_x8__scalar(const BinaryF32Row& row);
void minimum_f32_x8__scalar(const BinaryF32Row& row);
void pow_f32_x1__scalar(const BinaryF32Row& row);
void clamp_f32_x8__scalar(const float* x, float* y, size_t count, float lo, float hi);
void add_i8_x1__scalar(const BinaryI8Row& row);
void sub_i8_x1__scalar(const BinaryI8Row& row);
void mul_i8_x1__scalar(const BinaryI8Row& row);
void clamp_f16_x1__scalar(const Half* x, Half* y, size_t count, float lo, float hi);
void add_f16_x16__neon_fp16(const BinaryF16Row& row);
void sub_f16_x16__neon_fp16(const BinaryF16Row& row);
void mul_f16_x16__neon_fp16(const BinaryF16Row& row);
void div_f16_x16__neon_fp16(const BinaryF16Row& row);
void maximum_f16_x16__neon_fp16(const BinaryF16Row& row);
void minimum_f16_x16__neon_fp16(const BinaryF16Row& row);
void clamp_f16_x16__neon_fp16(const Half* x, Half* y, size_t count, float lo, float hi);
void add_i8_x16__neon(const BinaryI8Row& row);
void sub_i8_x16__neon(const BinaryI8Row& row);
void mul_i8_x16__neon(const BinaryI8Row& row);
void add_f32_x16__avx2(const BinaryF32Row& row);
void sub_f32_x16__avx2(const BinaryF32Row& row);
void mul_f32_x16__avx2(const BinaryF32Row& row);
void div_f32_x16__avx2(const BinaryF32Row& row);
void maximum_f32_x16__avx2(const BinaryF32Row& row);
void minimum_f32_x16__avx2(const BinaryF32Row& row);
void clamp_f32_x16__avx2(const float* x, float* y, size_t count, float lo, float hi);
void add_i8_x32__avx2(const BinaryI8Row& row);
void sub_i8_x32__avx2(const BinaryI8Row& row);
void mul_i8_x32__avx2(const BinaryI8Row& row);
void add_f32_x32__avx512vnni(const BinaryF32Row& row);
void sub_f32_x32__avx512vnni(const BinaryF32Row& row);
void mul_f32_x32__avx512vnni(const BinaryF32Row& row);
void div_f32_x32__avx512vnni(const BinaryF32Row& row);
void maximum_f32_x32__avx512vnni(const BinaryF32Row& row);
void minimum_f32_x32__avx512vnni(const BinaryF32Row& row);
void clamp_f32_x32__avx512vnni(const float* x, float* y, size_t count, float lo, float hi);
void add_i8_x64__avx512vnni(const BinaryI8Row& row);
void sub_i8_x64__avx512vnni(const BinaryI8Row& row);
void mul_i8_x64__avx512vnni(const BinaryI8Row& row);

}  // namespace ptq

#endif  // PTQ_KERNELS_ELEMENTWISE_CONTRACT_H_
