// Softmax over `count` elements that lie `stride` apart.
#ifndef PTQ_KERNELS_SOFTMAX_CONTRACT_H_
#define PTQ_KERNELS_SOFTMAX_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

namespace ptq {

struct SoftmaxKernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const float* x, float* y, size_t count, size_t stride);
};

extern const SoftmaxKernel kSoftmaxKernels[];
extern const size_t kSoftmaxKernelCount;

// One file per instruction set.
void softmax_f32_x8__scalar(const float* x, float* y, size_t count, size_t stride);
void softmax_f32_x16__avx2(const float* x, float* y, size_t count, size_t stride);
void softmax_f32_x32__avx512vnni(const float* x, float* y, size_t count, size_t stride);

}  // namespace ptq

#endif  // PTQ_KERNELS_SOFTMAX_CONTRACT_H_
