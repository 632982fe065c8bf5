// Portable depthwise kernels.
#include "kernels/depthwise/plain.h"

namespace ptq {

void depthwise_f32_1x16__scalar(const DepthwiseF32Row& row) { RowF32(row); }

void depthwise_i8_1x16__scalar(const DepthwiseI8Row& row) { RowI8(row); }

}  // namespace ptq
