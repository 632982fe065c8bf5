// Portable softmax. The maximum is subtracted first, so that exp cannot overflow.
#include <math.h>

#include "kernels/softmax/contract.h"

namespace ptq {

void softmax_f32_x1__scalar(const float* x, float* y, size_t count, size_t stride) {
  float maximum = x[0];
  for (size_t i = 1; i < count; ++i) maximum = x[i * stride] > maximum ? x[i * stride] : maximum;
  float sum = 0;
  for (size_t i = 0; i < count; ++i) {
    const float e = expf(x[i * stride] - maximum);
    y[i * stride] = e;
    sum += e;
  }
  for (size_t i = 0; i < count; ++i) y[i * stride] /= sum;
}

}  // namespace ptq
