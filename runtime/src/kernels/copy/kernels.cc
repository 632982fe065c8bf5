// The lists of copy kernels, from kernels.inc.
#include "kernels/copy/checks.h"
#include "kernels/kept.h"

namespace ptq {

#define PTQ_ROWS "kernels/copy/kernels.inc"
#include "kernels/define.inc"

}  // namespace ptq
