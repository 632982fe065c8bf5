// Portable transpose kernels.
#include "kernels/move/tiles.h"

namespace ptq {

void transpose_x8_1x1__scalar(const TransposeBlock& block) {
  TransposeElements<uint8_t>(block, 0, 0);
}

void transpose_x32_1x1__scalar(const TransposeBlock& block) {
  TransposeElements<uint32_t>(block, 0, 0);
}

void transpose_x64_1x1__scalar(const TransposeBlock& block) {
  TransposeElements<uint64_t>(block, 0, 0);
}

}  // namespace ptq
