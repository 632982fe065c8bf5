// Depthwise kernels for AVX2.
#include "kernels/depthwise/plain.h"

namespace ptq {

void depthwise_f32_1x16__avx2(const DepthwiseF32Pixel& pixel) { PixelF32(pixel); }

void depthwise_i8_1x16__avx2(const DepthwiseI8Pixel& pixel) { PixelI8(pixel); }

}  // namespace ptq
