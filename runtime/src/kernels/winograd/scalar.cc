// Portable winograd kernel.
#include "kernels/winograd/plain.h"

namespace ptq {

void winograd_f32_2x2__scalar(const WinogradInput& window) { TransformInput(window); }

void winograd_f32_2x2__scalar(const WinogradOutput& tile) { TransformOutput(tile); }

}  // namespace ptq
