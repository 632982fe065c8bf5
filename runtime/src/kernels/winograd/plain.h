// The transforms over the compiler's vectors, a register of channels at a time. Included once per
// instruction set.
#ifndef PTQ_KERNELS_WINOGRAD_PLAIN_H_
#define PTQ_KERNELS_WINOGRAD_PLAIN_H_

#include <math.h>

#include "kernels/vector.h"
#include "kernels/winograd/contract.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

typedef float OneF __attribute__((vector_size(4)));

// B^T of a column: one step down in each row.
template <typename V>
PTQ_INLINE void TransformWindow(const V (&d)[4], V (&t)[4]) {
  t[0] = d[0] - d[2];
  t[1] = d[1] + d[2];
  t[2] = d[2] - d[1];
  t[3] = d[1] - d[3];
}

struct InputChannels {
  const WinogradInput& window;

  template <typename V>
  PTQ_INLINE void Transform(size_t c) const {
    V columns[4][4];  // B^T d, by columns
#pragma unroll
    for (size_t x = 0; x < 4; ++x) {
      V d[4];
#pragma unroll
      for (size_t y = 0; y < 4; ++y) d[y] = Load<V>(window.pixels[4 * y + x] + c);
      TransformWindow(d, columns[x]);
    }
    float* to = window.transformed + c;
#pragma unroll
    for (size_t y = 0; y < 4; ++y) {
      const V row[4] = {columns[0][y], columns[1][y], columns[2][y], columns[3][y]};
      V v[4];
      TransformWindow(row, v);
#pragma unroll
      for (size_t x = 0; x < 4; ++x, to += window.position_stride) Store(to, v[x]);
    }
  }
};

struct OutputChannels {
  const WinogradOutput& tile;
  bool clamps;

  template <typename V>
  PTQ_INLINE void Transform(size_t c) const {
    V top[4], bottom[4];  // A^T m
#pragma unroll
    for (size_t x = 0; x < 4; ++x) {
      V m[4];
#pragma unroll
      for (size_t y = 0; y < 4; ++y)
        m[y] = Load<V>(tile.sums + (4 * y + x) * tile.position_stride + c);
      top[x] = m[0] + m[1] + m[2];
      bottom[x] = m[1] - m[2] - m[3];
    }
    StoreRow(top, 0, c);
    StoreRow(bottom, 1, c);
  }

 private:
  template <typename V>
  PTQ_INLINE void StoreRow(const V (&m)[4], size_t y, size_t c) const {
    const V bias = Load<V>(tile.bias + c);
    StorePixel(m[0] + m[1] + m[2] + bias, tile.pixels[y][0] + c);
    StorePixel(m[1] - m[2] - m[3] + bias, tile.pixels[y][1] + c);
  }

  template <typename V>
  PTQ_INLINE void StorePixel(V value, float* to) const {
    if (clamps) {
      const V lo = tile.lo - V{}, hi = tile.hi - V{};
      value = value < lo ? lo : value;  // a NaN passes
      value = value > hi ? hi : value;
    }
    Store(to, value);
  }
};

// channels.Transform for all: a register at a time, of which the last one takes some channels
// again; less than a register by fours and singly.
template <typename Channels>
PTQ_INLINE void ForChannels(const Channels& channels, size_t count) {
  size_t c = 0;
  for (; c + kRegisterLanes <= count; c += kRegisterLanes)
    channels.template Transform<RegisterF>(c);
  if (c == count) return;
  if (count >= kRegisterLanes)
    return channels.template Transform<RegisterF>(count - kRegisterLanes);
  for (; c + 4 <= count; c += 4) channels.template Transform<Vec4F>(c);
  for (; c < count; ++c) channels.template Transform<OneF>(c);
}

PTQ_INLINE void TransformInput(const WinogradInput& window) {
  ForChannels(InputChannels{window}, window.channels);
}

PTQ_INLINE void TransformOutput(const WinogradOutput& tile) {
  ForChannels(OutputChannels{tile, tile.lo > -INFINITY || tile.hi < INFINITY}, tile.channels);
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_WINOGRAD_PLAIN_H_
