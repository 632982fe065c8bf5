// Resize kernel for AVX-512.
#include "kernels/resize/plain.h"

namespace ptq {

void resize_linear_f32_x32__avx512vnni(const ResizeF32Row& row) { Row(row); }

}  // namespace ptq
