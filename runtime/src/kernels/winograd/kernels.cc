// The lists of winograd kernels, from kernels.inc.
#include "kernels/kept.h"
#include "kernels/winograd/checks.h"

namespace ptq {

#define PTQ_ROWS "kernels/winograd/kernels.inc"
#include "kernels/define.inc"

}  // namespace ptq
