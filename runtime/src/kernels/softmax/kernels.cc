// The lists of softmax kernels, from kernels.inc.
#include "kernels/kept.h"
#include "kernels/softmax/checks.h"

namespace ptq {

#define PTQ_ROWS "kernels/softmax/kernels.inc"
#include "kernels/define.inc"

}  // namespace ptq
