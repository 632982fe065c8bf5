// Pooling kernels on halves. A maximum is taken in half precision, an average summed in float.
#include "kernels/pool/plain.h"

namespace ptq {

void max_pool_f16_1x32__neon_fp16(const PoolF16Pixel& pixel) {
  ForChannels<Half, 2 * kRegisterBytes>(MaximumReal<Half, _Float16>{pixel}, pixel.channels);
}

void average_pool_f16_1x16__neon_fp16(const PoolF16Pixel& pixel) {
  ForChannels<Half, kRegisterBytes>(AverageReal<Half, _Float16>{pixel}, pixel.channels);
}

}  // namespace ptq
