// The lists of conversion kernels.
#include "base/cpu_features.h"
#include "kernels/convert/contract.h"

namespace ptq {

const QuantizeKernel kQuantizeKernels[] = {
#if defined(__x86_64__)
    {"quantize_f32_x64__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, quantize_f32_x64__avx512vnni},
    {"quantize_f32_x32__avx2", kCpuAvx2, quantize_f32_x32__avx2},
#elif defined(__ARM_NEON)
    {"quantize_f32_x32__neon", kCpuNeon, quantize_f32_x32__neon},
#endif
    {"quantize_f32_x1__scalar", kCpuScalar, quantize_f32_x1__scalar},
};
const size_t kQuantizeKernelCount = sizeof kQuantizeKernels / sizeof kQuantizeKernels[0];

const DequantizeKernel kDequantizeKernels[] = {
#if defined(__x86_64__)
    {"dequantize_i8_x64__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, dequantize_i8_x64__avx512vnni},
    {"dequantize_i8_x32__avx2", kCpuAvx2, dequantize_i8_x32__avx2},
#elif defined(__ARM_NEON)
    {"dequantize_i8_x16__neon", kCpuNeon, dequantize_i8_x16__neon},
#endif
    {"dequantize_i8_x1__scalar", kCpuScalar, dequantize_i8_x1__scalar},
};
const size_t kDequantizeKernelCount = sizeof kDequantizeKernels / sizeof kDequantizeKernels[0];

const LookupKernel kLookupKernels[] = {
#if defined(__x86_64__)
    {"lookup_i8_x64__avx512vbmi", kCpuAvx2 | kCpuAvx512Vnni | kCpuAvx512Vbmi,
     lookup_i8_x64__avx512vbmi},
    {"lookup_i8_x32__avx2", kCpuAvx2, lookup_i8_x32__avx2},
#elif defined(__aarch64__)
    {"lookup_i8_x16__neon", kCpuNeon, lookup_i8_x16__neon},
#endif
    {"lookup_i8_x1__scalar", kCpuScalar, lookup_i8_x1__scalar},
};
const size_t kLookupKernelCount = sizeof kLookupKernels / sizeof kLookupKernels[0];

const ToHalfKernel kToHalfKernels[] = {
#if defined(__x86_64__)
    {"to_half_f32_x8__f16c", kCpuF16c, to_half_f32_x8__f16c},
#elif defined(__aarch64__)
    {"to_half_f32_x8__neon", kCpuNeon, to_half_f32_x8__neon},
#endif
    {"to_half_f32_x1__scalar", kCpuScalar, to_half_f32_x1__scalar},
};
const size_t kToHalfKernelCount = sizeof kToHalfKernels / sizeof kToHalfKernels[0];

const ToFloatKernel kToFloatKernels[] = {
#if defined(__x86_64__)
    {"to_float_f16_x8__f16c", kCpuF16c, to_float_f16_x8__f16c},
#elif defined(__aarch64__)
    {"to_float_f16_x8__neon", kCpuNeon, to_float_f16_x8__neon},
#endif
    {"to_float_f16_x1__scalar", kCpuScalar, to_float_f16_x1__scalar},
};
const size_t kToFloatKernelCount = sizeof kToFloatKernels / sizeof kToFloatKernels[0];

}  // namespace ptq
