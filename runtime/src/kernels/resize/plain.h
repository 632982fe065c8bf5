// The linear resize over vectors of channels. Included once per instruction set.
#ifndef PTQ_KERNELS_RESIZE_PLAIN_H_
#define PTQ_KERNELS_RESIZE_PLAIN_H_

#include "kernels/resize/contract.h"
#include "kernels/vector.h"

namespace ptq {
namespace {

// The four input pixels of one output pixel, in the order of their sum.
struct Taps {
  const float* x[4];
  float weight[4];
};

// `V`: a vector, or float for one channel.
template <typename V>
PTQ_INLINE void Interpolate(const Taps& taps, size_t c, const ResizeF32Row& row, float* y) {
  V sum = Load<V>(taps.x[0] + c) * taps.weight[0];
  for (size_t i = 1; i < 4; ++i) sum = sum + Load<V>(taps.x[i] + c) * taps.weight[i];
  sum = sum < row.lo ? V{} + row.lo : sum;
  sum = sum > row.hi ? V{} + row.hi : sum;
  Store(y + c, sum);
}

// Channels from `c` on as long as there are whole `V`s; returns the first that is left.
template <typename V>
PTQ_INLINE size_t Channels(const Taps& taps, size_t c, const ResizeF32Row& row, float* y) {
  constexpr size_t kWidth = sizeof(V) / sizeof(float);
  for (; c + kWidth <= row.channels; c += kWidth) Interpolate<V>(taps, c, row, y);
  return c;
}

PTQ_INLINE void Row(const ResizeF32Row& row) {
  const size_t channels = row.channels;
  float* y = row.y;
  for (size_t i = 0; i < row.count; ++i, y += channels) {
    const Neighbours& column = row.columns[i];
    const size_t left = column.before * channels, right = column.behind * channels;
    const Taps taps = {
        {row.top + left, row.top + right, row.bottom + left, row.bottom + right},
        {column.before_weight * row.top_weight, column.behind_weight * row.top_weight,
         column.before_weight * row.bottom_weight, column.behind_weight * row.bottom_weight}};
    size_t c = Channels<VecF>(taps, 0, row, y);
    c = Channels<RegisterF>(taps, c, row, y);
    c = Channels<Vec4F>(taps, c, row, y);
    if (c < channels && channels >= 4) {
      Interpolate<Vec4F>(taps, channels - 4, row, y);  // overlaps the one before it
    } else {
      Channels<float>(taps, c, row, y);
    }
  }
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_RESIZE_PLAIN_H_
