// The lists of pooling kernels, from kernels.inc.
#include "kernels/kept.h"
#include "kernels/pool/checks.h"

namespace ptq {

#define PTQ_ROWS "kernels/pool/kernels.inc"
#include "kernels/define.inc"

}  // namespace ptq
