// Unary kernel for AVX2.
#include "kernels/unary/plain.h"

namespace ptq {

void unary_f32_x16__avx2(const UnaryF32Row& row) { Row(row); }

}  // namespace ptq
