// The lists of elementwise kernels.
#include "base/cpu_features.h"
#include "format/op_kinds.h"
#include "kernels/elementwise/contract.h"

namespace ptq {

const BinaryF32Kernel kBinaryF32Kernels[] = {
#if defined(__x86_64__)
    {"add_f32_x32__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, kAdd, add_f32_x32__avx512vnni},
    {"sub_f32_x32__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, kSub, sub_f32_x32__avx512vnni},
    {"mul_f32_x32__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, kMul, mul_f32_x32__avx512vnni},
    {"div_f32_x32__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, kDiv, div_f32_x32__avx512vnni},
    {"maximum_f32_x32__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, kMaximum,
     maximum_f32_x32__avx512vnni},
    {"minimum_f32_x32__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, kMinimum,
     minimum_f32_x32__avx512vnni},
    {"add_f32_x16__avx2", kCpuAvx2, kAdd, add_f32_x16__avx2},
    {"sub_f32_x16__avx2", kCpuAvx2, kSub, sub_f32_x16__avx2},
    {"mul_f32_x16__avx2", kCpuAvx2, kMul, mul_f32_x16__avx2},
    {"div_f32_x16__avx2", kCpuAvx2, kDiv, div_f32_x16__avx2},
    {"maximum_f32_x16__avx2", kCpuAvx2, kMaximum, maximum_f32_x16__avx2},
    {"minimum_f32_x16__avx2", kCpuAvx2, kMinimum, minimum_f32_x16__avx2},
#endif
    {"add_f32_x8__scalar", kCpuScalar, kAdd, add_f32_x8__scalar},
    {"sub_f32_x8__scalar", kCpuScalar, kSub, sub_f32_x8__scalar},
    {"mul_f32_x8__scalar", kCpuScalar, kMul, mul_f32_x8__scalar},
    {"div_f32_x8__scalar", kCpuScalar, kDiv, div_f32_x8__scalar},
    {"maximum_f32_x8__scalar", kCpuScalar, kMaximum, maximum_f32_x8__scalar},
    {"minimum_f32_x8__scalar", kCpuScalar, kMinimum, minimum_f32_x8__scalar},
    {"pow_f32_x1__scalar", kCpuScalar, kPow, pow_f32_x1__scalar},
};
const size_t kBinaryF32KernelCount = sizeof kBinaryF32Kernels / sizeof kBinaryF32Kernels[0];

const BinaryI8Kernel kBinaryI8Kernels[] = {
#if defined(__x86_64__)
    {"add_i8_x64__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, kAdd, add_i8_x64__avx512vnni},
    {"sub_i8_x64__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, kSub, sub_i8_x64__avx512vnni},
    {"mul_i8_x64__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, kMul, mul_i8_x64__avx512vnni},
    {"add_i8_x32__avx2", kCpuAvx2, kAdd, add_i8_x32__avx2},
    {"sub_i8_x32__avx2", kCpuAvx2, kSub, sub_i8_x32__avx2},
    {"mul_i8_x32__avx2", kCpuAvx2, kMul, mul_i8_x32__avx2},
#elif defined(__ARM_NEON)
    {"add_i8_x16__neon", kCpuNeon, kAdd, add_i8_x16__neon},
    {"sub_i8_x16__neon", kCpuNeon, kSub, sub_i8_x16__neon},
    {"mul_i8_x16__neon", kCpuNeon, kMul, mul_i8_x16__neon},
#endif
    {"add_i8_x1__scalar", kCpuScalar, kAdd, add_i8_x1__scalar},
    {"sub_i8_x1__scalar", kCpuScalar, kSub, sub_i8_x1__scalar},
    {"mul_i8_x1__scalar", kCpuScalar, kMul, mul_i8_x1__scalar},
};
const size_t kBinaryI8KernelCount = sizeof kBinaryI8Kernels / sizeof kBinaryI8Kernels[0];

const ClampF32Kernel kClampF32Kernels[] = {
#if defined(__x86_64__)
    {"clamp_f32_x32__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, clamp_f32_x32__avx512vnni},
    {"clamp_f32_x16__avx2", kCpuAvx2, clamp_f32_x16__avx2},
#endif
    {"clamp_f32_x8__scalar", kCpuScalar, clamp_f32_x8__scalar},
};
const size_t kClampF32KernelCount = sizeof kClampF32Kernels / sizeof kClampF32Kernels[0];

const ClampF16Kernel kClampF16Kernels[] = {
#if defined(__aarch64__)
    {"clamp_f16_x16__neon_fp16", kCpuNeon | kCpuFp16, clamp_f16_x16__neon_fp16},
#endif
    {"clamp_f16_x1__scalar", kCpuScalar, clamp_f16_x1__scalar},
};
const size_t kClampF16KernelCount = sizeof kClampF16Kernels / sizeof kClampF16Kernels[0];

#if defined(__aarch64__)
static const BinaryF16Kernel kF16Kernels[] = {
    {"add_f16_x16__neon_fp16", kCpuNeon | kCpuFp16, kAdd, add_f16_x16__neon_fp16},
    {"sub_f16_x16__neon_fp16", kCpuNeon | kCpuFp16, kSub, sub_f16_x16__neon_fp16},
    {"mul_f16_x16__neon_fp16", kCpuNeon | kCpuFp16, kMul, mul_f16_x16__neon_fp16},
    {"div_f16_x16__neon_fp16", kCpuNeon | kCpuFp16, kDiv, div_f16_x16__neon_fp16},
    {"maximum_f16_x16__neon_fp16", kCpuNeon | kCpuFp16, kMaximum, maximum_f16_x16__neon_fp16},
    {"minimum_f16_x16__neon_fp16", kCpuNeon | kCpuFp16, kMinimum, minimum_f16_x16__neon_fp16},
};
const BinaryF16Kernel* const kBinaryF16Kernels = kF16Kernels;
const size_t kBinaryF16KernelCount = sizeof kF16Kernels / sizeof kF16Kernels[0];
#else
const BinaryF16Kernel* const kBinaryF16Kernels = nullptr;
const size_t kBinaryF16KernelCount = 0;
#endif

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

const BinaryF16Kernel* SelectBinaryF16Kernel(uint16_t op, uint32_t features) {
  return SelectForOp(kBinaryF16Kernels, kBinaryF16KernelCount, op, features);
}

const BinaryI8Kernel* SelectBinaryI8Kernel(uint16_t op, uint32_t features) {
  return SelectForOp(kBinaryI8Kernels, kBinaryI8KernelCount, op, features);
}

}  // namespace ptq
