// Elementwise kernels on rows: y[i] = f(a[i], b[i]). A broadcast operand has step 0, else 1. y may
// be an operand that moves.
#ifndef PTQ_KERNELS_ELEMENTWISE_CONTRACT_H_
#define PTQ_KERNELS_ELEMENTWISE_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_list.h"
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
  void (*run)(const BinaryRealRow<T>&);
  uint16_t op;  // the OpKindId
};
using BinaryF32Kernel = BinaryRealKernel<float>;
using BinaryF16Kernel = BinaryRealKernel<Half>;

struct BinaryI8Kernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const BinaryI8Row&);
  uint16_t op;  // the OpKindId
};

template <typename T>
struct ClampRealKernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const T* x, T* y, size_t count, float lo, float hi);
};
using ClampF32Kernel = ClampRealKernel<float>;
using ClampF16Kernel = ClampRealKernel<Half>;

// The first kernel for `op` that `features` allows; null if the list has none for `op`.
template <typename Kernel>
const Kernel* SelectForOp(const KernelList<Kernel>& list, uint16_t op, uint32_t features) {
  return SelectKernel(list, features, [op](const Kernel& kernel) { return kernel.op == op; });
}

#define PTQ_ROWS "kernels/elementwise/kernels.inc"
#include "kernels/declare.inc"

}  // namespace ptq

#endif  // PTQ_KERNELS_ELEMENTWISE_CONTRACT_H_
