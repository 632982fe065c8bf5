// Resize kernel for the toolchain's baseline; on Arm that is NEON.
#include "kernels/resize/plain.h"

namespace ptq {

void resize_linear_f32_x8__scalar(const ResizeF32Row& row) { Row(row); }

}  // namespace ptq
