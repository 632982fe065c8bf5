// The list of winograd kernels.
#include "base/cpu_features.h"
#include "kernels/winograd/contract.h"

namespace ptq {

const WinogradKernel kWinogradKernels[] = {
#if defined(__x86_64__)
    {"winograd_f32_2x2__avx512vnni", kCpuAvx2 | kCpuAvx512Vnni, winograd_input_f32_2x2__avx512vnni,
     winograd_output_f32_2x2__avx512vnni},
    {"winograd_f32_2x2__avx2", kCpuAvx2, winograd_input_f32_2x2__avx2,
     winograd_output_f32_2x2__avx2},
#endif
    {"winograd_f32_2x2__scalar", kCpuScalar, winograd_input_f32_2x2__scalar,
     winograd_output_f32_2x2__scalar},
};
const size_t kWinogradKernelCount = sizeof kWinogradKernels / sizeof kWinogradKernels[0];

}  // namespace ptq
