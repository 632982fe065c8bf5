// The lists of transpose kernels, from kernels.inc.
#include "kernels/kept.h"
#include "kernels/move/checks.h"

namespace ptq {

#define PTQ_ROWS "kernels/move/kernels.inc"
#include "kernels/define.inc"

}  // namespace ptq
