// Float depthwise kernels on vectors of channels, for any instruction set. `Isa` names them:
//   Element, Vector, kLanes
//   Load(p), Store(p, v), StoreFirst(p, count, v), Splat(value), MultiplyAdd(a, b, sum)
//   Clamp(v, lo, hi)   lets a NaN pass
//   Prefetch(p)
//
// Float rows of large pictures do not fit in the first-level cache, and their pictures not in the
// second: the order of the loops and a prefetch matter as much as the arithmetic.
#ifndef PTQ_KERNELS_DEPTHWISE_FLOAT_STRIP_H_
#define PTQ_KERNELS_DEPTHWISE_FLOAT_STRIP_H_

#include "base/math.h"
#include "kernels/depthwise/contract.h"
#include "kernels/depthwise/walk.h"
#include "numerics/sum_blocks.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

template <typename Isa>
using RealRow = DepthwiseRealRow<typename Isa::Element>;

PTQ_INLINE size_t TapStride(const DepthwiseShape& shape) {
  return RoundUp(shape.channels, kDepthwiseChannelBlock);
}

// Outputs of one strip. With all channels inside, a tile's input is contiguous but for the steps
// between rows, which hardware prefetchers follow; a strip of the whole row would touch one cache
// line of each pixel. Each strip loads its weights and the first columns again.
constexpr size_t kTileOutputs = 14;

// kVectors vectors of channels of the row, with the weights in registers: a second vector fills the
// time in which the additions of the first wait for each other. Not kFull: the row ends in the last
// vector.
template <typename Isa, size_t kKernel, size_t kStride, size_t kVectors, bool kFull>
struct FloatStrip {
  using Vector = typename Isa::Vector;
  struct Sum {
    Vector vectors[kVectors];
  };
  struct Column {
    Vector rows[kKernel][kVectors];
  };
  static constexpr size_t kChannels = kVectors * Isa::kLanes;

  const RealRow<Isa>& row;
  size_t first;  // channel
  Vector weights[kKernel * kKernel][kVectors];
  Vector lo, hi;

  PTQ_INLINE FloatStrip(const RealRow<Isa>& row, size_t first)
      : row(row), first(first), lo(Isa::Splat(row.lo)), hi(Isa::Splat(row.hi)) {
    const size_t tap_stride = TapStride(row.shape);
#pragma unroll
    for (size_t i = 0; i < kVectors; ++i) {
      const size_t c = first + i * Isa::kLanes;
#pragma unroll
      for (size_t tap = 0; tap < kKernel * kKernel; ++tap)
        weights[tap][i] = Isa::Load(row.weights + tap * tap_stride + c);
    }
  }

  // The bias is read anew: a register for each vector of it is more than some have.
  PTQ_INLINE Sum Start() const {
    Sum sum;
#pragma unroll
    for (size_t i = 0; i < kVectors; ++i)
      sum.vectors[i] = Isa::Load(row.bias + first + i * Isa::kLanes);
    return sum;
  }

  PTQ_INLINE Column Load(size_t column) const {
    Column values;
#pragma unroll
    for (size_t ky = 0; ky < kKernel; ++ky) {
      const typename Isa::Element* x = row.columns[column * kKernel + ky] + first;
#pragma unroll
      for (size_t i = 0; i < kVectors; ++i) {
        values.rows[ky][i] = Isa::Load(x + i * Isa::kLanes);
        // The next strip's, of rows that the last row of outputs did not read.
        if (ky + kStride >= kKernel) Isa::Prefetch(x + kChannels + i * Isa::kLanes);
      }
    }
    return values;
  }

  PTQ_INLINE void Add(const Column& values, size_t kx, Sum* sum) const {
#pragma unroll
    for (size_t ky = 0; ky < kKernel; ++ky) {
#pragma unroll
      for (size_t i = 0; i < kVectors; ++i)
        sum->vectors[i] =
            Isa::MultiplyAdd(values.rows[ky][i], weights[ky * kKernel + kx][i], sum->vectors[i]);
    }
#pragma unroll
    for (size_t i = 0; i < kVectors; ++i) ComputeHere(&sum->vectors[i]);
  }

  PTQ_INLINE void Store(size_t x, const Sum& sum) const {
#pragma unroll
    for (size_t i = 0; i < kVectors; ++i) {
      const size_t c = first + i * Isa::kLanes;
      typename Isa::Element* y = row.output + x * row.output_stride + c;
      const Vector value = Isa::Clamp(sum.vectors[i], lo, hi);
      if constexpr (kFull) {
        Isa::Store(y, value);
      } else {
        Isa::StoreFirst(y, Min(Isa::kLanes, row.shape.channels - c), value);
      }
    }
  }
};

template <typename Isa, size_t kKernel, size_t kStride, size_t kVectors, bool kFull>
PTQ_INLINE void SquareStrip(const RealRow<Isa>& row, size_t first) {
  const FloatStrip<Isa, kKernel, kStride, kVectors, kFull> strip(row, first);
  WalkColumns<kKernel, kStride>(strip, row.outputs);
}

// Square filters, dilation 1.
template <typename Isa, size_t kKernel, size_t kStride, size_t kVectors>
PTQ_INLINE void SquareRow(const RealRow<Isa>& row) {
  constexpr size_t kChannels = kVectors * Isa::kLanes;
  RealRow<Isa> tile = row;
  for (size_t x = 0; x < row.outputs; x += kTileOutputs) {
    tile.columns = row.columns + x * kStride * kKernel;
    tile.outputs = Min(kTileOutputs, row.outputs - x);
    tile.output = row.output + x * row.output_stride;
    size_t c = 0;
    for (; c + kChannels <= row.shape.channels; c += kChannels)
      SquareStrip<Isa, kKernel, kStride, kVectors, true>(tile, c);
    for (; c < row.shape.channels; c += Isa::kLanes)
      SquareStrip<Isa, kKernel, kStride, 1, false>(tile, c);
  }
}

// kVectors vectors of channels of one output, any shape.
template <typename Isa, size_t kVectors>
PTQ_INLINE void RealBlock(const RealRow<Isa>& row, size_t x, size_t first) {
  const DepthwiseShape& shape = row.shape;
  const size_t tap_stride = TapStride(shape);
  typename Isa::Vector sums[kVectors], blocks[kVectors];  // of a block so far, of those before it
#pragma unroll
  for (size_t i = 0; i < kVectors; ++i) {
    sums[i] = Isa::Load(row.bias + first + i * Isa::kLanes);
    blocks[i] = Isa::Splat(0);
  }
  size_t left = kProductBlock;
  const typename Isa::Element* const* column = row.columns + x * shape.stride * shape.kernel_h;
  for (size_t kx = 0; kx < shape.kernel_w; ++kx, column += shape.dilation * shape.kernel_h) {
    const typename Isa::Element* w = row.weights + kx * tap_stride + first;
    for (size_t ky = 0; ky < shape.kernel_h;) {
      const size_t end = Min(ky + left, shape.kernel_h);
      left -= end - ky;
      for (; ky < end; ++ky, w += shape.kernel_w * tap_stride) {
#pragma unroll
        for (size_t i = 0; i < kVectors; ++i) {
          const size_t at = i * Isa::kLanes;
          sums[i] =
              Isa::MultiplyAdd(Isa::Load(column[ky] + first + at), Isa::Load(w + at), sums[i]);
        }
      }
      if (left != 0) continue;
      left = kProductBlock;
#pragma unroll
      for (size_t i = 0; i < kVectors; ++i) {
        blocks[i] = blocks[i] + sums[i];
        sums[i] = Isa::Splat(0);
      }
    }
  }
  const typename Isa::Vector lo = Isa::Splat(row.lo), hi = Isa::Splat(row.hi);
#pragma unroll
  for (size_t i = 0; i < kVectors; ++i) {
    const size_t c = first + i * Isa::kLanes;
    Isa::StoreFirst(row.output + x * row.output_stride + c, Min(Isa::kLanes, shape.channels - c),
                    Isa::Clamp(blocks[i] + sums[i], lo, hi));
  }
}

template <typename Isa>
PTQ_INLINE void AnyRow(const RealRow<Isa>& row) {
  constexpr size_t kVectors = 4;  // independent sums, and uses of each pointer
  for (size_t x = 0; x < row.outputs; ++x) {
    size_t c = 0;
    for (; c + kVectors * Isa::kLanes <= row.shape.channels; c += kVectors * Isa::kLanes)
      RealBlock<Isa, kVectors>(row, x, c);
    for (; c < row.shape.channels; c += Isa::kLanes) RealBlock<Isa, 1>(row, x, c);
  }
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_FLOAT_STRIP_H_
