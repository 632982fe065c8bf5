// Packing of depthwise filters.
#ifndef PTQ_KERNELS_DEPTHWISE_PACK_H_
#define PTQ_KERNELS_DEPTHWISE_PACK_H_

#include <stddef.h>

namespace ptq {

// weights: [channels][taps], canonical (O, KH, KW, 1). packed: [taps][stride], zero beyond
// channels.
template <typename T>
void PackDepthwiseWeights(const T* weights, size_t channels, size_t taps, size_t stride,
                          T* packed) {
  for (size_t tap = 0; tap < taps; ++tap) {
    for (size_t c = 0; c < stride; ++c)
      packed[tap * stride + c] = c < channels ? weights[c * taps + tap] : T(0);
  }
}

}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_PACK_H_
