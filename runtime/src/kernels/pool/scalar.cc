// Pooling kernels for the toolchain's baseline; on Arm that is NEON.
#include "kernels/pool/plain.h"

namespace ptq {

void max_pool_f32_1x16__scalar(const PoolF32Pixel& pixel) { MaxPoolF32(pixel); }

void average_pool_f32_1x16__scalar(const PoolF32Pixel& pixel) { AveragePoolF32(pixel); }

void max_pool_i8_1x64__scalar(const PoolI8Pixel& pixel) { MaxPoolI8(pixel); }

void average_pool_i8_1x32__scalar(const PoolI8Pixel& pixel) { AveragePoolI8(pixel); }

}  // namespace ptq
