// Resize kernel for AVX2.
#include "kernels/resize/plain.h"

namespace ptq {

void resize_linear_f32_x16__avx2(const ResizeF32Row& row) { Row(row); }

}  // namespace ptq
