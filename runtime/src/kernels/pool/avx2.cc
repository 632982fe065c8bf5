// Pooling kernels for AVX2.
#include "kernels/pool/plain.h"

namespace ptq {

void max_pool_f32_1x32__avx2(const PoolF32Pixel& pixel) { MaxPoolF32(pixel); }

void average_pool_f32_1x32__avx2(const PoolF32Pixel& pixel) { AveragePoolF32(pixel); }

void max_pool_i8_1x128__avx2(const PoolI8Pixel& pixel) { MaxPoolI8(pixel); }

void average_pool_i8_1x64__avx2(const PoolI8Pixel& pixel) { AveragePoolI8(pixel); }

}  // namespace ptq
