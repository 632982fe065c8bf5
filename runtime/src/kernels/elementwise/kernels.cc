// The lists of elementwise kernels.
#include "base/cpu_features.h"
#include "format/op_kinds.h"
#include "kernels/elementwise/contract.h"

namespace ptq {

const BinaryF32Kernel kBinaryF32Kernels[] = {
    {"add_f32_x1__scalar", kCpuScalar, kAdd, add_f32_x1__scalar},
    {"sub_f32_x1__scalar", kCpuScalar, kSub, sub_f32_x1__scalar},
    {"mul_f32_x1__scalar", kCpuScalar, kMul, mul_f32_x1__scalar},
    {"div_f32_x1__scalar", kCpuScalar, kDiv, div_f32_x1__scalar},
};
const size_t kBinaryF32KernelCount = sizeof kBinaryF32Kernels / sizeof kBinaryF32Kernels[0];

const AddI8Kernel kAddI8Kernels[] = {
    {"add_i8_x1__scalar", kCpuScalar, add_i8_x1__scalar},
};
const size_t kAddI8KernelCount = sizeof kAddI8Kernels / sizeof kAddI8Kernels[0];

const ClampF32Kernel kClampF32Kernels[] = {
    {"clamp_f32_x1__scalar", kCpuScalar, clamp_f32_x1__scalar},
};
const size_t kClampF32KernelCount = sizeof kClampF32Kernels / sizeof kClampF32Kernels[0];

const BinaryF32Kernel* SelectBinaryF32Kernel(uint16_t op, uint32_t features) {
  for (const BinaryF32Kernel& kernel : kBinaryF32Kernels) {
    if (kernel.op == op && (kernel.requires_features & ~features) == 0) return &kernel;
  }
  return nullptr;
}

}  // namespace ptq
