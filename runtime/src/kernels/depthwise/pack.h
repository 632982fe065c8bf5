// Packing of depthwise filters: the layouts that kernels name in their rows.
#ifndef PTQ_KERNELS_DEPTHWISE_PACK_H_
#define PTQ_KERNELS_DEPTHWISE_PACK_H_

#include <stddef.h>

#include "base/math.h"
#include "kernels/depthwise/contract.h"

namespace ptq {

// Taps outermost: packed[tap][c], c up to the channels rounded up to the block, zero beyond them.
template <typename T>
constexpr DepthwisePacking<T> PackTapsOutermost() {
  return {[](const DepthwiseShape& shape) -> size_t {
            return shape.kernel_h * shape.kernel_w *
                   RoundUp(shape.channels, kDepthwiseChannelBlock);
          },
          [](const DepthwiseShape& shape, const T* weights, T* packed) {
            const size_t taps = shape.kernel_h * shape.kernel_w,
                         stride = RoundUp(shape.channels, kDepthwiseChannelBlock);
            for (size_t tap = 0; tap < taps; ++tap) {
              for (size_t c = 0; c < stride; ++c)
                packed[tap * stride + c] = c < shape.channels ? weights[c * taps + tap] : T(0);
            }
          }};
}

}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_PACK_H_
