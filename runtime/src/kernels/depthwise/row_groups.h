// Filters for kernels whose multiplication sums neighbouring elements (words) in 32-bit lanes: as
// many rows of a column as fit, four of int8 or two of int16, are interleaved, so that each lane
// holds taps of one channel.
//
// Unpacking instructions work inside 128-bit lanes and leave channels 4 * part ... 4 * part + 3 of
// every lane in result `part`. With rows = 4 / sizeof(Word), lane_channels = 16 / sizeof(Word) and
// `width` the channels of a block that begins at channel `first`, the weight of filter row
// rows * group + row, column kx and channel first + lane_channels * lane + 4 * part + i is word
//   first * taps + (((group * kernel_w + kx) * parts + part) * lanes + lane) * 4 * rows
//   + i * rows + row
// where taps = groups * kernel_w * rows, parts = lane_channels / 4, lanes = width / lane_channels.
// Rows and channels beyond the last are zero.
#ifndef PTQ_KERNELS_DEPTHWISE_ROW_GROUPS_H_
#define PTQ_KERNELS_DEPTHWISE_ROW_GROUPS_H_

#include <string.h>

#include "base/math.h"
#include "kernels/depthwise/contract.h"

namespace ptq {

// Channels of the next block when `remaining` are left and vectors hold `widest`: less where that
// is enough or wastes less (a vector of a narrow block holds several pixels).
PTQ_INLINE size_t RowGroupBlock(size_t widest, size_t remaining) {
  if (widest >= 64 && remaining > 48) return 64;
  return widest >= 32 && remaining > 16 ? 32 : 16;
}

// Words of one channel.
template <typename Word>
PTQ_INLINE size_t RowGroupTaps(const DepthwiseShape& shape) {
  constexpr size_t kRows = 4 / sizeof(Word);
  return CeilDiv(shape.kernel_h, kRows) * kRows * shape.kernel_w;
}

template <typename Word, size_t kWidest>
constexpr DepthwisePacking<int8_t> kRowGroups = {
    [](const DepthwiseShape& shape) -> size_t {
      return RowGroupTaps<Word>(shape) * sizeof(Word) *
             RoundUp(shape.channels, kDepthwiseChannelBlock);
    },
    [](const DepthwiseShape& shape, const int8_t* weights, int8_t* packed) {
      constexpr size_t kRows = 4 / sizeof(Word), kLaneChannels = 16 / sizeof(Word);
      const size_t padded_h = RoundUp(shape.kernel_h, kRows);
      size_t width;
      for (size_t first = 0; first < shape.channels; first += width) {
        width = RowGroupBlock(kWidest, shape.channels - first);
        for (size_t tap = 0; tap < padded_h * shape.kernel_w; ++tap) {
          const size_t ky = tap / shape.kernel_w, kx = tap % shape.kernel_w;
          const size_t group = first * RowGroupTaps<Word>(shape) +
                               (ky / kRows * shape.kernel_w + kx) * width * kRows;
          for (size_t i = 0; i < width; ++i) {
            const size_t lane = i / kLaneChannels, part = i % kLaneChannels / 4;
            const size_t quad = group + (part * (width / kLaneChannels) + lane) * 4 * kRows;
            const bool exists = ky < shape.kernel_h && first + i < shape.channels;
            const Word word =
                exists ? weights[((first + i) * shape.kernel_h + ky) * shape.kernel_w + kx]
                       : Word{0};
            memcpy(packed + (quad + i % 4 * kRows + ky % kRows) * sizeof word, &word, sizeof word);
          }
        }
      }
    }};

// By the bits of the kernels' vectors.
constexpr auto kRowPairs256 = kRowGroups<int16_t, 16>;
constexpr auto kRowQuads128 = kRowGroups<int8_t, 16>;
constexpr auto kRowQuads256 = kRowGroups<int8_t, 32>;
constexpr auto kRowQuads512 = kRowGroups<int8_t, 64>;

}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_ROW_GROUPS_H_
