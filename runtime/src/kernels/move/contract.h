// Moving elements without changing them: strided gather (transpose).
#ifndef PTQ_KERNELS_MOVE_CONTRACT_H_
#define PTQ_KERNELS_MOVE_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

namespace ptq {

struct GatherKernel {
  const char* name;
  uint32_t requires_features;
  size_t element_size;  // 1 or 4
  // y[i] = x[i * stride], i < count; stride in elements.
  void (*run)(const void* x, size_t stride, void* y, size_t count);
};

// For each element size the best kernel first, a scalar one last.
extern const GatherKernel kGatherKernels[];
extern const size_t kGatherKernelCount;

const GatherKernel* SelectGatherKernel(size_t element_size, uint32_t features);

void gather_x8_x1__scalar(const void* x, size_t stride, void* y, size_t count);
void gather_x32_x1__scalar(const void* x, size_t stride, void* y, size_t count);

}  // namespace ptq

#endif  // PTQ_KERNELS_MOVE_CONTRACT_H_
