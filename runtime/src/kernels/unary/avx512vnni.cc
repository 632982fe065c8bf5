// Unary kernel for AVX-512.
#include "kernels/unary/plain.h"

namespace ptq {

void unary_f32_x32__avx512vnni(const UnaryF32Row& row) { Row(row); }

}  // namespace ptq
