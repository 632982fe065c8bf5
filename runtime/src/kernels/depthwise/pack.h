// Packing of depthwise filters: the layouts that kernels name in their rows.
#ifndef PTQ_KERNELS_DEPTHWISE_PACK_H_
#define PTQ_KERNELS_DEPTHWISE_PACK_H_

#include <stddef.h>

#include "base/math.h"
#include "kernels/depthwise/contract.h"

namespace ptq {

// Taps outermost: packed[tap][c], c up to the channels rounded up to the block, zero beyond them.
template <typename T>
constexpr DepthwisePacking<T> kTapsOutermost = {
    [](const DepthwiseShape& shape) -> size_t {
      return shape.kernel_h * shape.kernel_w * RoundUp(shape.channels, kDepthwiseChannelBlock);
    },
    [](const DepthwiseShape& shape, const T* weights, T* packed) {
      const size_t taps = shape.kernel_h * shape.kernel_w,
                   stride = RoundUp(shape.channels, kDepthwiseChannelBlock);
      for (size_t tap = 0; tap < taps; ++tap) {
        for (size_t c = 0; c < stride; ++c)
          packed[tap * stride + c] = c < shape.channels ? weights[c * taps + tap] : T{};
      }
    }};

// Blocks of channels outermost, then taps column by column, as DepthwiseI8Row::columns lists them:
// packed[block][kx][ky][c], zero beyond the last channel.
template <size_t kBlock>
constexpr DepthwisePacking<int8_t> kChannelBlocks = {
    [](const DepthwiseShape& shape) -> size_t {
      return shape.kernel_h * shape.kernel_w * RoundUp(shape.channels, kBlock);
    },
    [](const DepthwiseShape& shape, const int8_t* weights, int8_t* packed) {
      for (size_t first = 0; first < shape.channels; first += kBlock) {
        for (size_t kx = 0; kx < shape.kernel_w; ++kx) {
          for (size_t ky = 0; ky < shape.kernel_h; ++ky) {
            for (size_t c = first; c < first + kBlock; ++c) {
              *packed++ = c < shape.channels
                              ? weights[(c * shape.kernel_h + ky) * shape.kernel_w + kx]
                              : int8_t{};
            }
          }
        }
      }
    }};

}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_PACK_H_
