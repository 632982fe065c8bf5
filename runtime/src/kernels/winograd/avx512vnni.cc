// Winograd kernel for AVX-512.
#include "kernels/winograd/plain.h"

namespace ptq {

void winograd_f32_2x2__avx512vnni(const WinogradInput& window) { TransformInput(window); }

void winograd_f32_2x2__avx512vnni(const WinogradOutput& tile) { TransformOutput(tile); }

}  // namespace ptq
