// The lists of CRC-32 kernels, from kernels.inc.
#include "kernels/crc32/checks.h"
#include "kernels/kept.h"

namespace ptq {

#define PTQ_ROWS "kernels/crc32/kernels.inc"
#include "kernels/define.inc"

}  // namespace ptq
