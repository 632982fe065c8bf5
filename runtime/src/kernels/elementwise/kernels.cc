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
    {"maximum_f32_x1__scalar", kCpuScalar, kMaximum, maximum_f32_x1__scalar},
    {"minimum_f32_x1__scalar", kCpuScalar, kMinimum, minimum_f32_x1__scalar},
    {"pow_f32_x1__scalar", kCpuScalar, kPow, pow_f32_x1__scalar},
};
const size_t kBinaryF32KernelCount = sizeof kBinaryF32Kernels / sizeof kBinaryF32Kernels[0];

const BinaryI8Kernel kBinaryI8Kernels[] = {
    {"add_i8_x1__scalar", kCpuScalar, kAdd, add_i8_x1__scalar},
    {"sub_i8_x1__scalar", kCpuScalar, kSub, sub_i8_x1__scalar},
    {"mul_i8_x1__scalar", kCpuScalar, kMul, mul_i8_x1__scalar},
};
const size_t kBinaryI8KernelCount = sizeof kBinaryI8Kernels / sizeof kBinaryI8Kernels[0];

const ClampF32Kernel kClampF32Kernels[] = {
    {"clamp_f32_x1__scalar", kCpuScalar, clamp_f32_x1__scalar},
};
const size_t kClampF32KernelCount = sizeof kClampF32Kernels / sizeof kClampF32Kernels[0];

namespace {

template <typename Kernel>
const Kernel* SelectForOp(const Kernel* list, size_t count, uint16_t op, uint32_t features) {
  for (size_t i = 0; i < count; ++i) {
    if (list[i].op == op && (list[i].requires_features & ~features) == 0) return &list[i];
  }
  return nullptr;
}

}  // namespace

const BinaryF32Kernel* SelectBinaryF32Kernel(uint16_t op, uint32_t features) {
  return SelectForOp(kBinaryF32Kernels, kBinaryF32KernelCount, op, features);
}

const BinaryI8Kernel* SelectBinaryI8Kernel(uint16_t op, uint32_t features) {
  return SelectForOp(kBinaryI8Kernels, kBinaryI8KernelCount, op, features);
}

}  // namespace ptq
