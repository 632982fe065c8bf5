// Float functions of one tensor on rows: y[i] = clamp(f(x[i])).
#ifndef PTQ_KERNELS_UNARY_CONTRACT_H_
#define PTQ_KERNELS_UNARY_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "format/layout.h"
#include "kernels/kernel_list.h"
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

#define PTQ_ROWS "kernels/unary/kernels.inc"
#include "kernels/declare.inc"

}  // namespace ptq

#endif  // PTQ_KERNELS_UNARY_CONTRACT_H_
