// The lists of arg_max kernels, from kernels.inc.
#include "kernels/arg_max/checks.h"
#include "kernels/kept.h"

namespace ptq {

#define PTQ_ROWS "kernels/arg_max/kernels.inc"
#include "kernels/define.inc"

}  // namespace ptq
