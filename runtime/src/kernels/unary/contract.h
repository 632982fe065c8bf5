// Float functions of one tensor on rows: y[i] = clamp(f(x[i])).
#ifndef PTQ_KERNELS_UNARY_CONTRACT_H_
#define PTQ_KERNELS_UNARY_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "format/layout.h"

namespace ptq {

struct UnaryF32Row {
  UnaryFunction function;
  const float* x;
  float* y;
  size_t count;
  float alpha, beta;  // of hard_sigmoid, leaky_relu and elu
  float lo, hi;
};

// One kernel computes every function: which one is decided once per row. The result of an element
// depends neither on its position in the row nor on `count`.
struct UnaryF32Kernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const UnaryF32Row&);
};

extern const UnaryF32Kernel kUnaryF32Kernels[];
extern const size_t kUnaryF32KernelCount;

// One file per instruction set.
void unary_f32_x8__scalar(const UnaryF32Row& row);
void unary_f32_x16__avx2(const UnaryF32Row& row);
void unary_f32_x32__avx512vnni(const UnaryF32Row& row);

}  // namespace ptq

#endif  // PTQ_KERNELS_UNARY_CONTRACT_H_
