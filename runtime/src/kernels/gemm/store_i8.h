// The epilogue of an int8 gemm: one pixel's accumulators to int8 or float, by docs/numerics.md.
#ifndef PTQ_KERNELS_GEMM_STORE_I8_H_
#define PTQ_KERNELS_GEMM_STORE_I8_H_

#include <string.h>

#include "base/math.h"
#include "kernels/gemm/contract.h"

namespace ptq {

// `accumulator`: kNr sums of pixel `row` of the tile. Plain loops over a constant width: compilers
// vectorise them for the instruction set of the file that includes this.
template <size_t kNr>
PTQ_INLINE void StoreRow(const GemmI8Tile& tile, size_t row, const int32_t* accumulator) {
  if (tile.output_i8 != nullptr) {
    int8_t q[kNr];
    for (size_t j = 0; j < kNr; ++j) {
      q[j] = Requantize(accumulator[j], tile.multiplier[j], tile.range);
    }
    memcpy(tile.output_i8 + row * tile.output_stride, q, tile.columns);
  } else {
    float y[kNr];
    for (size_t j = 0; j < kNr; ++j) {
      y[j] = Clamp(static_cast<float>(accumulator[j]) * tile.multiplier[j], tile.lo, tile.hi);
    }
    memcpy(tile.output_f32 + row * tile.output_stride, y, tile.columns * sizeof(float));
  }
}

}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_STORE_I8_H_
