// Pooling kernels for AVX-512.
#include "kernels/pool/plain.h"

namespace ptq {

void max_pool_f32_1x64__avx512vnni(const PoolF32Pixel& pixel) { MaxPoolF32(pixel); }

void average_pool_f32_1x64__avx512vnni(const PoolF32Pixel& pixel) { AveragePoolF32(pixel); }

void max_pool_i8_1x256__avx512vnni(const PoolI8Pixel& pixel) { MaxPoolI8(pixel); }

void average_pool_i8_1x128__avx512vnni(const PoolI8Pixel& pixel) { AveragePoolI8(pixel); }

}  // namespace ptq
