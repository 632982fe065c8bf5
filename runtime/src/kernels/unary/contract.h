// Float functions of one tensor on rows: y[i] = clamp(f(x[i])).
#ifndef PTQ_KERNELS_UNARY_CONTRACT_H_
#define PTQ_KERNELS_UNARY_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "format/layout.h"
#include "numerics/half.h"

namespace ptq {

// T: float, or Half for kernels that convert on the way; all compute in float.
template <typename T>
struct UnaryRealRow {
  UnaryFunction function;
  const T* x;
  T* y;
  size_t count;
  float alpha, beta;  // of hard_sigmoid, leaky_relu and elu
  float lo, hi;
};
using UnaryF32Row = UnaryRealRow<float>;
using UnaryF16Row = UnaryRealRow<Half>;

// One kernel computes every function: which one is decided once per row. The result of an element
// depends neither on its position in the row nor on `count`.
template <typename T>
struct UnaryRealKernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const UnaryRealRow<T>&);
};
using UnaryF32Kernel = UnaryRealKernel<float>;
using UnaryF16Kernel = UnaryRealKernel<Half>;

extern const UnaryF32Kernel kUnaryF32Kernels[];
extern const size_t kUnaryF32KernelCount;
// Only for CPUs that compute in half precision; null where there are none.
extern const UnaryF16Kernel* const kUnaryF16Kernels;
extern const size_t kUnaryF16KernelCount;

// One file per instruction set.
void unary_f32_x8__scalar(const UnaryF32Row& row);
void unary_f16_x8__neon_fp16(const UnaryF16Row& row);
void unary_f32_x16__avx2(const UnaryF32Row& row);
void unary_f32_x32__avx512vnni(const UnaryF32Row& row);

}  // namespace ptq

#endif  // PTQ_KERNELS_UNARY_CONTRACT_H_
