// Winograd kernel for AVX2.
#include "kernels/winograd/plain.h"

namespace ptq {

void winograd_f32_2x2__avx2(const WinogradInput& window) { TransformInput(window); }

void winograd_f32_2x2__avx2(const WinogradOutput& tile) { TransformOutput(tile); }

}  // namespace ptq
