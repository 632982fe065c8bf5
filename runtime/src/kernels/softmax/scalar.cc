// Softmax for the toolchain's baseline; on Arm that is NEON.
#include "kernels/softmax/plain.h"

namespace ptq {

void softmax_f32_x8__scalar(const float* x, float* y, size_t count, size_t stride) {
  Softmax(x, y, count, stride);
}

}  // namespace ptq
