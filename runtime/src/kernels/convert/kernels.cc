// The lists of conversion kernels.
#include "base/cpu_features.h"
#include "kernels/convert/contract.h"

namespace ptq {

const QuantizeKernel kQuantizeKernels[] = {
    {"quantize_f32_x1__scalar", kCpuScalar, quantize_f32_x1__scalar},
};
const size_t kQuantizeKernelCount = sizeof kQuantizeKernels / sizeof kQuantizeKernels[0];

const DequantizeKernel kDequantizeKernels[] = {
    {"dequantize_i8_x1__scalar", kCpuScalar, dequantize_i8_x1__scalar},
};
const size_t kDequantizeKernelCount = sizeof kDequantizeKernels / sizeof kDequantizeKernels[0];

const LookupKernel kLookupKernels[] = {
    {"lookup_i8_x1__scalar", kCpuScalar, lookup_i8_x1__scalar},
};
const size_t kLookupKernelCount = sizeof kLookupKernels / sizeof kLookupKernels[0];

}  // namespace ptq
