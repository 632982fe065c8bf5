// Softmax for AVX-512.
#include "kernels/softmax/plain.h"

namespace ptq {

void softmax_f32_x32__avx512vnni(const float* x, float* y, size_t count, size_t stride) {
  Softmax(x, y, count, stride);
}

}  // namespace ptq
