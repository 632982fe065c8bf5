// The lists of conversion kernels, from kernels.inc.
#include "kernels/convert/checks.h"
#include "kernels/kept.h"

namespace ptq {

#define PTQ_ROWS "kernels/convert/kernels.inc"
#include "kernels/define.inc"

}  // namespace ptq
