// The lists of elementwise kernels, from kernels.inc.
#include "format/op_kinds.h"
#include "kernels/elementwise/checks.h"
#include "kernels/kept.h"

namespace ptq {

#define PTQ_ROWS "kernels/elementwise/kernels.inc"
#include "kernels/define.inc"

}  // namespace ptq
