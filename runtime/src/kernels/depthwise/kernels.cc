// The lists of depthwise kernels, from kernels.inc.
#include "kernels/depthwise/checks.h"
#include "kernels/depthwise/pack.h"
#include "kernels/depthwise/row_groups.h"
#include "kernels/kept.h"

namespace ptq {

#define PTQ_ROWS "kernels/depthwise/kernels.inc"
#include "kernels/define.inc"

}  // namespace ptq
