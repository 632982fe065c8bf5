// Unary kernel on halves: computed in float, two registers at a time.
#include "kernels/unary/plain.h"

namespace ptq {

void unary_f16_x8__neon_fp16(const UnaryF16Row& row) { Row(row); }

}  // namespace ptq
