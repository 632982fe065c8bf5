// The lists of reduce kernels, from kernels.inc.
#include "kernels/kept.h"
#include "kernels/reduce/checks.h"

namespace ptq {

#define PTQ_ROWS "kernels/reduce/kernels.inc"
#include "kernels/define.inc"

}  // namespace ptq
