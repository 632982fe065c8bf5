// Softmax for AVX2.
#include "kernels/softmax/plain.h"

namespace ptq {

void softmax_f32_x16__avx2(const float* x, float* y, size_t count, size_t stride) {
  Softmax(x, y, count, stride);
}

}  // namespace ptq
