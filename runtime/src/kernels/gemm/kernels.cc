// The lists of gemm kernels, from kernels.inc.
#include "kernels/gemm/checks.h"
#include "kernels/kept.h"

namespace ptq {

#define PTQ_ROWS "kernels/gemm/kernels.inc"
#include "kernels/define.inc"

}  // namespace ptq
