// The lists of resize kernels, from kernels.inc.
#include "kernels/kept.h"
#include "kernels/resize/checks.h"

namespace ptq {

#define PTQ_ROWS "kernels/resize/kernels.inc"
#include "kernels/define.inc"

}  // namespace ptq
