// The list of transpose kernels.
#include "base/cpu_features.h"
#include "kernels/move/contract.h"

namespace ptq {

const TransposeKernel kTransposeKernels[] = {
#if defined(__x86_64__)
    {"transpose_x8_8x16__avx2", kCpuAvx2, 1, transpose_x8_8x16__avx2},
    {"transpose_x32_4x8__avx2", kCpuAvx2, 4, transpose_x32_4x8__avx2},
#elif defined(__ARM_NEON)
    {"transpose_x8_8x8__neon", kCpuNeon, 1, transpose_x8_8x8__neon},
    {"transpose_x32_4x4__neon", kCpuNeon, 4, transpose_x32_4x4__neon},
#endif
    {"transpose_x8_1x1__scalar", kCpuScalar, 1, transpose_x8_1x1__scalar},
    {"transpose_x32_1x1__scalar", kCpuScalar, 4, transpose_x32_1x1__scalar},
};
const size_t kTransposeKernelCount = sizeof kTransposeKernels / sizeof kTransposeKernels[0];

const TransposeKernel* SelectTransposeKernel(size_t element_size, uint32_t features) {
  for (const TransposeKernel& kernel : kTransposeKernels) {
    if (kernel.element_size == element_size && (kernel.requires_features & ~features) == 0)
      return &kernel;
  }
  return nullptr;
}

}  // namespace ptq
