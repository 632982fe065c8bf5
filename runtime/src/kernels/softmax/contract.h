// Softmax over `count` elements that lie `stride` apart.
#ifndef PTQ_KERNELS_SOFTMAX_CONTRACT_H_
#define PTQ_KERNELS_SOFTMAX_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_list.h"

namespace ptq {

struct SoftmaxKernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const float* x, float* y, size_t count, size_t stride);
};

#define PTQ_ROWS "kernels/softmax/kernels.inc"
#include "kernels/declare.inc"

}  // namespace ptq

#endif  // PTQ_KERNELS_SOFTMAX_CONTRACT_H_
