// Portable depthwise kernels: blocks of 16 channels in the compiler's vector extension, taps in the
// inner loop, so that accumulators stay in registers.
#include <string.h>

#include "base/math.h"
#include "kernels/depthwise/contract.h"
#include "numerics/sum_blocks.h"

namespace ptq {
namespace {

constexpr size_t kBlock = 16;

typedef float BlockOfF32 __attribute__((vector_size(4 * kBlock)));
typedef int32_t BlockOfI32 __attribute__((vector_size(4 * kBlock)));
typedef int16_t BlockOfI16 __attribute__((vector_size(2 * kBlock)));
typedef int8_t BlockOfI8 __attribute__((vector_size(kBlock)));

template <typename Block, typename T>
PTQ_INLINE Block LoadBlock(const T* p) {
  Block block;
  memcpy(&block, p, sizeof block);
  return block;
}

// values[j] = f(j) for all of a block, then the first `count` of them to y.
template <typename T, typename F>
PTQ_INLINE void StoreFirst(T* y, size_t count, F f) {
  T values[kBlock];
#pragma unroll
  for (size_t j = 0; j < kBlock; ++j) values[j] = f(j);
  if (count == kBlock) {
    memcpy(y, values, sizeof values);
  } else {
    for (size_t j = 0; j < count; ++j) y[j] = values[j];
  }
}

// Calls f(x, w) for every tap of output `x`: its input and its packed weights (taps outermost).
template <typename T, typename F>
PTQ_INLINE void ForEachTap(const T* const* columns, const DepthwiseShape& shape, const T* weights,
                           F f) {
  const size_t weight_stride =
      CeilDiv(shape.channels, kDepthwiseChannelBlock) * kDepthwiseChannelBlock;
  for (size_t ky = 0; ky < shape.kernel_h; ++ky) {
    for (size_t kx = 0; kx < shape.kernel_w; ++kx) {
      f(columns[kx * shape.dilation * shape.kernel_h + ky], weights);
      weights += weight_stride;
    }
  }
}

// Whole blocks are computed, since inputs may be read and per-channel arrays are padded beyond the
// last channel; `count` channels are stored.
PTQ_INLINE void BlockF32(const DepthwiseF32Row& p, size_t x, size_t c, size_t count) {
  BlockOfF32 sum = LoadBlock<BlockOfF32>(p.bias + c), blocks = {};
  size_t left = kProductBlock;
  ForEachTap(p.columns + x * p.shape.stride * p.shape.kernel_h, p.shape, p.weights,
             [&](const float* input, const float* w) __attribute__((always_inline)) {
               sum += LoadBlock<BlockOfF32>(input + c) * LoadBlock<BlockOfF32>(w + c);
               if (--left != 0) return;
               left = kProductBlock;
               blocks += sum;
               sum = BlockOfF32{};
             });
  sum += blocks;
  StoreFirst(p.output + x * p.output_stride + c, count,
             [&](size_t j) __attribute__((always_inline)) { return Clamp(sum[j], p.lo, p.hi); });
}

PTQ_INLINE void BlockI8(const DepthwiseI8Row& p, size_t x, size_t c, size_t count) {
  BlockOfI32 sum = LoadBlock<BlockOfI32>(p.bias + c);
  ForEachTap(p.columns + x * p.shape.stride * p.shape.kernel_h, p.shape, p.weights,
             [&](const int8_t* input, const int8_t* w) __attribute__((always_inline)) {
               // The product of two int8 fits in int16: a narrow multiplication, then one widening.
               const auto widen = [](const int8_t* values) __attribute__((always_inline)) {
                 return __builtin_convertvector(LoadBlock<BlockOfI8>(values), BlockOfI16);
               };
               sum += __builtin_convertvector(widen(input + c) * widen(w + c), BlockOfI32);
             });
  const BlockOfF32 multiplier = LoadBlock<BlockOfF32>(p.multiplier + c);
  const size_t at = x * p.output_stride + c;
  if (p.output_i8 != nullptr) {
    StoreFirst(p.output_i8 + at, count, [&](size_t j) __attribute__((always_inline)) {
      return Requantize(sum[j], multiplier[j], p.range);
    });
  } else {
    StoreFirst(p.output_f32 + at, count, [&](size_t j) __attribute__((always_inline)) {
      return Clamp(static_cast<float>(sum[j]) * multiplier[j], p.lo, p.hi);
    });
  }
}

}  // namespace

void depthwise_f32_1x16__scalar(const DepthwiseF32Row& row) {
  for (size_t x = 0; x < row.outputs; ++x) {
    for (size_t c = 0; c < row.shape.channels; c += kBlock)
      BlockF32(row, x, c, Min(kBlock, row.shape.channels - c));
  }
}

void depthwise_i8_1x16__scalar(const DepthwiseI8Row& row) {
  for (size_t x = 0; x < row.outputs; ++x) {
    for (size_t c = 0; c < row.shape.channels; c += kBlock)
      BlockI8(row, x, c, Min(kBlock, row.shape.channels - c));
  }
}

}  // namespace ptq
