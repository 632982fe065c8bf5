// The lists of unary kernels, from kernels.inc.
#include "kernels/kept.h"
#include "kernels/unary/checks.h"

namespace ptq {

#define PTQ_ROWS "kernels/unary/kernels.inc"
#include "kernels/define.inc"

}  // namespace ptq
