// The list of gather kernels.
#include "base/cpu_features.h"
#include "kernels/move/contract.h"

namespace ptq {

const GatherKernel kGatherKernels[] = {
    {"gather_x8_x1__scalar", kCpuScalar, 1, gather_x8_x1__scalar},
    {"gather_x32_x1__scalar", kCpuScalar, 4, gather_x32_x1__scalar},
};
const size_t kGatherKernelCount = sizeof kGatherKernels / sizeof kGatherKernels[0];

const GatherKernel* SelectGatherKernel(size_t element_size, uint32_t features) {
  for (const GatherKernel& kernel : kGatherKernels) {
    if (kernel.element_size == element_size && (kernel.requires_features & ~features) == 0)
      return &kernel;
  }
  return nullptr;
}

}  // namespace ptq
