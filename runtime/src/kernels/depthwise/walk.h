// Walking along a row of a depthwise convolution of known width and stride: each input column is
// loaded once for all outputs that see it.
#ifndef PTQ_KERNELS_DEPTHWISE_WALK_H_
#define PTQ_KERNELS_DEPTHWISE_WALK_H_

#include <stddef.h>

#include "base/math.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

// Where registers are renamed without an instruction that costs something, moving values is cheaper
// than a longer loop.
#if defined(__ARM_NEON)
constexpr bool kRotateByUnrolling = true;
#else
constexpr bool kRotateByUnrolling = false;
#endif

// Compilers would move additions down to where the sum is stored, and keep the columns until then
// in registers that they do not have.
template <typename Vector>
PTQ_INLINE void ComputeHere(Vector* value) {
#if defined(__ARM_NEON)
  asm volatile("" : "+w"(*value));
#else
  (void)value;
#endif
}

// values[i] = values[i + 1]. Not a loop: compilers would see a memmove in it, and keep the array in
// memory.
template <size_t kCount, typename T>
PTQ_INLINE void ShiftDown(T* values) {
  if constexpr (kCount > 1) {
    values[0] = values[1];
    ShiftDown<kCount - 1>(values + 1);
  }
}

// Calls output(x, phase) for x = 0, 1, ... outputs - 1, phase = x % kPhases a constant there.
template <size_t kPhases, typename Output>
PTQ_INLINE void ForEachOutput(size_t outputs, Output output) {
  size_t x = 0;
  for (; x + kPhases <= outputs; x += kPhases) {
#pragma unroll
    for (size_t phase = 0; phase < kPhases; ++phase) output(x + phase, phase);
  }
#pragma unroll
  for (size_t phase = 0; phase + 1 < kPhases; ++phase) {
    if (x + phase == outputs) return;
    output(x + phase, phase);
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
  // `position` is that of the column in the window of sums[phase], the others follow in a ring.
  const auto add = [&](size_t column, size_t position,
                       size_t phase) __attribute__((always_inline)) {
    const typename Strip::Column values = strip.Load(column);
#pragma unroll
    for (size_t i = 0; i < kOpen; ++i) {
      const size_t kx = position - i * kStride;  // wraps around for windows that begin later
      typename Strip::Sum* sum = &sums[(phase + i) % kOpen];
      if (kx == 0) *sum = strip.Start();
      if (kx < kKernelW) strip.Add(values, kx, sum);
    }
  };
#pragma unroll
  for (size_t i = 0; i < kKernelW - kStride; ++i) add(i, i, 0);
  ForEachOutput<kRotateByUnrolling ? kOpen : 1>(
      outputs, [&](size_t x, size_t phase) __attribute__((always_inline)) {
#pragma unroll
        for (size_t i = kKernelW - kStride; i < kKernelW; ++i) add(x * kStride + i, i, phase);
        strip.Store(x, sums[phase]);
        if (!kRotateByUnrolling) ShiftDown<kOpen>(sums);
      });
}

// The same with columns instead of sums in registers. Strip has Load as above, and
//   void Output(x, const Column* const window[kKernelW])
template <size_t kKernelW, size_t kStride, typename Strip>
PTQ_INLINE void WalkWindows(const Strip& strip, size_t outputs) {
  typename Strip::Column ring[kKernelW];  // column c in ring[c % kKernelW]
#pragma unroll
  for (size_t i = 0; i < kKernelW - kStride; ++i) ring[i] = strip.Load(i);
  ForEachOutput<kKernelW>(outputs, [&](size_t x, size_t phase) __attribute__((always_inline)) {
    const size_t first = phase * kStride;  // modulo kKernelW
#pragma unroll
    for (size_t i = kKernelW - kStride; i < kKernelW; ++i)
      ring[(first + i) % kKernelW] = strip.Load(x * kStride + i);
    const typename Strip::Column* window[kKernelW];
#pragma unroll
    for (size_t kx = 0; kx < kKernelW; ++kx) window[kx] = &ring[(first + kx) % kKernelW];
    strip.Output(x, window);
  });
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_WALK_H_
