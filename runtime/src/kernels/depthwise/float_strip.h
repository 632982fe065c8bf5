// Float depthwise kernels on vectors of channels, for any instruction set. `Isa` names them:
//   Vector, kLanes
//   Load(p), StoreFirst(p, count, v), Splat(value), MultiplyAdd(a, b, sum), Add(a, b)
//   Clamp(v, lo, hi)   lets a NaN pass
#ifndef PTQ_KERNELS_DEPTHWISE_FLOAT_STRIP_H_
#define PTQ_KERNELS_DEPTHWISE_FLOAT_STRIP_H_

#include "base/math.h"
#include "kernels/depthwise/contract.h"
#include "kernels/depthwise/walk.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

PTQ_INLINE size_t TapStride(const DepthwiseShape& shape) {
  return RoundUp(shape.channels, kDepthwiseChannelBlock);
}

// One vector of channels, with the weights in registers. An output is the sum of kSums partial
// sums, which shortens the chain of additions that wait for each other.
template <typename Isa, size_t kKernel, size_t kSums>
struct FloatStrip {
  using Vector = typename Isa::Vector;
  struct Sum {
    Vector partial[kSums];
  };
  struct Column {
    Vector rows[kKernel];
  };

  const DepthwiseF32Row& row;
  size_t first, count;  // channels
  Vector weights[kKernel * kKernel];
  Vector bias, zero, lo, hi;

  PTQ_INLINE FloatStrip(const DepthwiseF32Row& row, size_t first)
      : row(row),
        first(first),
        count(Min(Isa::kLanes, row.shape.channels - first)),
        bias(Isa::Load(row.bias + first)),
        zero(Isa::Splat(0.0f)),
        lo(Isa::Splat(row.lo)),
        hi(Isa::Splat(row.hi)) {
    const size_t stride = TapStride(row.shape);
#pragma unroll
    for (size_t tap = 0; tap < kKernel * kKernel; ++tap)
      weights[tap] = Isa::Load(row.weights + tap * stride + first);
  }

  PTQ_INLINE Sum Start() const {
    Sum sum;
    sum.partial[0] = bias;
#pragma unroll
    for (size_t i = 1; i < kSums; ++i) sum.partial[i] = zero;
    return sum;
  }

  PTQ_INLINE Column Load(size_t column) const {
    Column values;
#pragma unroll
    for (size_t ky = 0; ky < kKernel; ++ky)
      values.rows[ky] = Isa::Load(row.columns[column * kKernel + ky] + first);
    return values;
  }

  PTQ_INLINE void Add(const Column& values, size_t kx, Sum* sum) const {
#pragma unroll
    for (size_t ky = 0; ky < kKernel; ++ky) {
      Vector* partial = &sum->partial[ky % kSums];
      *partial = Isa::MultiplyAdd(values.rows[ky], weights[ky * kKernel + kx], *partial);
    }
  }

  PTQ_INLINE void Store(size_t x, const Sum& sum) const {
    Vector total = sum.partial[0];
#pragma unroll
    for (size_t i = 1; i < kSums; ++i) total = Isa::Add(total, sum.partial[i]);
    Isa::StoreFirst(row.output + x * row.output_stride + first, count, Isa::Clamp(total, lo, hi));
  }
};

// Square filters, dilation 1.
template <typename Isa, size_t kKernel, size_t kStride, size_t kSums>
PTQ_INLINE void SquareRowF32(const DepthwiseF32Row& row) {
  for (size_t c = 0; c < row.shape.channels; c += Isa::kLanes)
    WalkColumns<kKernel, kStride>(FloatStrip<Isa, kKernel, kSums>(row, c), row.outputs);
}

// kVectors vectors of channels of one output, any shape.
template <typename Isa, size_t kVectors>
PTQ_INLINE void BlockF32(const DepthwiseF32Row& row, size_t x, size_t first) {
  const DepthwiseShape& shape = row.shape;
  const size_t tap_stride = TapStride(shape);
  typename Isa::Vector sums[kVectors];
#pragma unroll
  for (size_t i = 0; i < kVectors; ++i) sums[i] = Isa::Load(row.bias + first + i * Isa::kLanes);
  const float* const* column = row.columns + x * shape.stride * shape.kernel_h;
  for (size_t kx = 0; kx < shape.kernel_w; ++kx, column += shape.dilation * shape.kernel_h) {
    const float* w = row.weights + kx * tap_stride + first;
    for (size_t ky = 0; ky < shape.kernel_h; ++ky, w += shape.kernel_w * tap_stride) {
#pragma unroll
      for (size_t i = 0; i < kVectors; ++i) {
        const size_t at = i * Isa::kLanes;
        sums[i] = Isa::MultiplyAdd(Isa::Load(column[ky] + first + at), Isa::Load(w + at), sums[i]);
      }
    }
  }
  const typename Isa::Vector lo = Isa::Splat(row.lo), hi = Isa::Splat(row.hi);
#pragma unroll
  for (size_t i = 0; i < kVectors; ++i) {
    const size_t c = first + i * Isa::kLanes;
    Isa::StoreFirst(row.output + x * row.output_stride + c, Min(Isa::kLanes, shape.channels - c),
                    Isa::Clamp(sums[i], lo, hi));
  }
}

template <typename Isa>
PTQ_INLINE void AnyRowF32(const DepthwiseF32Row& row) {
  constexpr size_t kVectors = 4;  // independent sums, and uses of each pointer
  for (size_t x = 0; x < row.outputs; ++x) {
    size_t c = 0;
    for (; c + kVectors * Isa::kLanes <= row.shape.channels; c += kVectors * Isa::kLanes)
      BlockF32<Isa, kVectors>(row, x, c);
    for (; c < row.shape.channels; c += Isa::kLanes) BlockF32<Isa, 1>(row, x, c);
  }
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_FLOAT_STRIP_H_
