// Depthwise kernels for AVX2.
#include "kernels/depthwise/plain.h"

namespace ptq {

void depthwise_f32_1x16__avx2(const DepthwiseF32Row& row) { RowF32(row); }

void depthwise_i8_1x16__avx2(const DepthwiseI8Row& row) { RowI8(row); }

}  // namespace ptq
