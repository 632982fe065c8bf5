// Unary kernel for the toolchain's baseline; on Arm that is NEON.
#include "kernels/unary/plain.h"

namespace ptq {

void unary_f32_x8__scalar(const UnaryF32Row& row) { Row(row); }

}  // namespace ptq
