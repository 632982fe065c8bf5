// Walking along a row of a depthwise convolution of known width and stride: each input column is
// loaded once and added to all outputs whose windows it lies in.
#ifndef PTQ_KERNELS_DEPTHWISE_WALK_H_
#define PTQ_KERNELS_DEPTHWISE_WALK_H_

#include <stddef.h>

#include "base/math.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

// values[i] = values[i + 1]. Not a loop: compilers would see a memmove in it, and keep the array in
// memory.
template <size_t kCount, typename T>
PTQ_INLINE void ShiftDown(T* values) {
  if constexpr (kCount > 1) {
    values[0] = values[1];
    ShiftDown<kCount - 1>(values + 1);
  }
}

// A Strip is a block of channels of the row:
//   Sum Start()                              what an output begins with
//   Column Load(column)                      the filter's rows of one input column
//   void Add(const Column&, kx, Sum*)        that column under the filter's column kx
//   void Store(x, const Sum&)                output x is complete
// All loops but the one over the outputs are unrolled, so that sums stay in registers.
template <size_t kKernelW, size_t kStride, typename Strip>
PTQ_INLINE void WalkColumns(const Strip& strip, size_t outputs) {
  constexpr size_t kOpen = (kKernelW + kStride - 1) / kStride;  // windows that share a column
  typename Strip::Sum sums[kOpen];
  // `position` is that of the column in the window of sums[0].
  const auto add = [&](size_t column, size_t position) __attribute__((always_inline)) {
    const typename Strip::Column values = strip.Load(column);
#pragma unroll
    for (size_t i = 0; i < kOpen; ++i) {
      const size_t kx = position - i * kStride;  // wraps around for windows that begin later
      if (kx == 0) sums[i] = strip.Start();
      if (kx < kKernelW) strip.Add(values, kx, &sums[i]);
    }
  };
#pragma unroll
  for (size_t i = 0; i < kKernelW - kStride; ++i) add(i, i);
  for (size_t x = 0; x < outputs; ++x) {
#pragma unroll
    for (size_t i = kKernelW - kStride; i < kKernelW; ++i) add(x * kStride + i, i);
    strip.Store(x, sums[0]);
    ShiftDown<kOpen>(sums);
  }
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_WALK_H_
