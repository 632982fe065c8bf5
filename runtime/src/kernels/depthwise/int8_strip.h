// Int8 depthwise kernels on interleaved rows (row_groups.h), for any instruction set whose
// multiplication sums neighbouring words. `Isa` names:
//   Vector, Real           registers of words or sums, and of floats
//   Word                   int8_t: four rows of the filter in a 32-bit lane; int16_t: two
//   kChannels              channels (words) of a Vector
//   kParts                 Vectors of sums for a Vector of words: its channels in 32-bit lanes
//   LoadPixels(pixels)     words of as many pixels as `pixels` points at, side by side
//   LoadRepeated<n>(p)     packed weights, repeated for each of n pixels
//   LoadChannels<n>(p, part)   per-channel 32-bit values for the lanes of sums[part], n pixels
//   UnpackLow, UnpackHigh(a, b), for int8_t also UnpackLow16, UnpackHigh16
//   MultiplyAdd(sum, words, weights)
//   Range, MakeRange(OutputRange), Scale(sum, multiplier), Splat, Clamp, StoreReal(p, real)
//   StoreQuantized(y, count, real, range)   first `count` channels of each pixel
#ifndef PTQ_KERNELS_DEPTHWISE_INT8_STRIP_H_
#define PTQ_KERNELS_DEPTHWISE_INT8_STRIP_H_

#include <string.h>

#include "base/math.h"
#include "kernels/depthwise/contract.h"
#include "kernels/depthwise/row_groups.h"
#include "kernels/depthwise/walk.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

// Interleaved rows, or sums: a Vector for each part.
template <typename Isa>
struct Parts {
  typename Isa::Vector part[Isa::kParts];
};

template <typename Isa>
constexpr size_t kGroupRows = 4 / sizeof(typename Isa::Word);

// For stores without masks, count < 32. Not a loop over bytes: compilers would call memcpy, and a
// call costs all vector registers.
PTQ_INLINE void CopyBytes(const int8_t* from, size_t count, int8_t* to) {
#pragma unroll
  for (size_t step = 16; step > 0; step /= 2) {
    if ((count & step) == 0) continue;
    memcpy(to, from, step);
    to += step;
    from += step;
  }
}

// kPresent rows to the lanes that row_groups.h gives them. Those of an absent row, whose weights
// are zero, hold the last one.
template <typename Isa, size_t kPresent>
PTQ_INLINE Parts<Isa> Interleave(const typename Isa::Vector* rows) {
  using Vector = typename Isa::Vector;
  const Vector last = rows[kPresent - 1], second = kPresent > 1 ? rows[1] : last;
  const Vector low01 = Isa::UnpackLow(rows[0], second), high01 = Isa::UnpackHigh(rows[0], second);
  if constexpr (kGroupRows<Isa> == 2) {
    return {{low01, high01}};
  } else {
    const Vector third = kPresent > 2 ? rows[2] : last;
    const Vector low23 = kPresent > 2 ? Isa::UnpackLow(third, last) : low01;
    const Vector high23 = kPresent > 2 ? Isa::UnpackHigh(third, last) : high01;
    return {{Isa::UnpackLow16(low01, low23), Isa::UnpackHigh16(low01, low23),
             Isa::UnpackLow16(high01, high23), Isa::UnpackHigh16(high01, high23)}};
  }
}

// A block of channels. Its vectors hold kPixels pixels of different parts of the row; pixel i
// walks from output first_output[i].
template <typename Isa, size_t kPixels>
struct Int8Block {
  using Vector = typename Isa::Vector;
  using Real = typename Isa::Real;
  using Sum = Parts<Isa>;
  static constexpr size_t kChannels = Isa::kChannels / kPixels;
  static constexpr size_t kParts = Isa::kParts;

  const DepthwiseI8Row& row;
  size_t first, count;  // channels
  size_t outputs;       // that each pixel of the vectors walks over
  const int8_t* weights;
  size_t first_output[kPixels];
  const int8_t* const* columns[kPixels];
  Sum bias;
  Real multiplier[kParts];
  typename Isa::Range range;

  PTQ_INLINE Int8Block(const DepthwiseI8Row& row, size_t first)
      : row(row),
        first(first),
        count(Min(kChannels, row.shape.channels - first)),
        outputs(CeilDiv(row.outputs, kPixels)),
        weights(row.weights +
                first * RowGroupTaps<typename Isa::Word>(row.shape) * sizeof(typename Isa::Word)),
        range(Isa::MakeRange(row.range)) {
#pragma unroll
    for (size_t i = 0; i < kPixels; ++i) {
      // The last parts of the row overlap where it does not divide evenly.
      first_output[i] = Min(i * outputs, row.outputs - outputs);
      columns[i] = row.columns + first_output[i] * row.shape.stride * row.shape.kernel_h;
    }
#pragma unroll
    for (size_t part = 0; part < kParts; ++part) {
      bias.part[part] = Isa::template LoadChannels<kPixels>(row.bias + first, part);
      multiplier[part] = Real(Isa::template LoadChannels<kPixels>(row.multiplier + first, part));
    }
  }

  PTQ_INLINE Sum Start() const { return bias; }

  // `at`: index in `columns`.
  PTQ_INLINE Vector LoadWords(size_t at) const {
    const int8_t* pixels[kPixels];
#pragma unroll
    for (size_t i = 0; i < kPixels; ++i) pixels[i] = columns[i][at] + first;
    return Isa::LoadPixels(pixels);
  }

  // Adds one group of rows under column kx of the filter.
  PTQ_INLINE void Multiply(const Parts<Isa>& words, size_t group, size_t kx, Sum* sum) const {
    constexpr size_t kPart = sizeof(Vector) / kPixels;  // bytes of packed weights
    const int8_t* w = weights + (group * row.shape.kernel_w + kx) * kParts * kPart;
#pragma unroll
    for (size_t part = 0; part < kParts; ++part)
      sum->part[part] = Isa::MultiplyAdd(sum->part[part], words.part[part],
                                         Isa::template LoadRepeated<kPixels>(w + part * kPart));
  }

  PTQ_INLINE void Store(size_t x, const Sum& sum) const {
    Real real[kParts];
#pragma unroll
    for (size_t part = 0; part < kParts; ++part)
      real[part] = Isa::Scale(sum.part[part], multiplier[part]);
    if (row.output_i8 != nullptr) {
      int8_t* y[kPixels];
#pragma unroll
      for (size_t i = 0; i < kPixels; ++i)
        y[i] = row.output_i8 + (first_output[i] + x) * row.output_stride + first;
      Isa::StoreQuantized(y, count, real, range);
    } else {
      StoreReal(x, real);
    }
  }

  PTQ_INLINE void StoreReal(size_t x, const Real (&real)[kParts]) const {
    constexpr size_t kLaneChannels = 4 * kParts;
    const Real lo = Isa::Splat(row.lo), hi = Isa::Splat(row.hi);
    float values[kParts][kPixels][kChannels / kLaneChannels][4];
#pragma unroll
    for (size_t part = 0; part < kParts; ++part)
      Isa::StoreReal(&values[part][0][0][0], Isa::Clamp(real[part], lo, hi));
    for (size_t i = 0; i < kPixels; ++i) {
      float* y = row.output_f32 + (first_output[i] + x) * row.output_stride + first;
      for (size_t c = 0; c < count; ++c)
        y[c] = values[c % kLaneChannels / 4][i][c / kLaneChannels][c % 4];
    }
  }
};

// Strip of WalkColumns.
template <typename Isa, size_t kKernel, size_t kPixels>
struct Int8Strip : Int8Block<Isa, kPixels> {
  using Int8Block<Isa, kPixels>::Int8Block;
  using typename Int8Block<Isa, kPixels>::Sum;
  static constexpr size_t kRows = kGroupRows<Isa>;
  static constexpr size_t kGroups = (kKernel + kRows - 1) / kRows;
  struct Column {
    Parts<Isa> groups[kGroups];
  };

  PTQ_INLINE Column Load(size_t column) const {
    typename Isa::Vector rows[kKernel];
#pragma unroll
    for (size_t ky = 0; ky < kKernel; ++ky) rows[ky] = this->LoadWords(column * kKernel + ky);
    Column values;
    constexpr size_t kLast = kGroups - 1;
#pragma unroll
    for (size_t group = 0; group < kLast; ++group)
      values.groups[group] = Interleave<Isa, kRows>(rows + group * kRows);
    values.groups[kLast] = Interleave<Isa, kKernel - kLast * kRows>(rows + kLast * kRows);
    return values;
  }

  PTQ_INLINE void Add(const Column& values, size_t kx, Sum* sum) const {
#pragma unroll
    for (size_t group = 0; group < kGroups; ++group)
      this->Multiply(values.groups[group], group, kx, sum);
  }
};

// Square filters, dilation 1.
template <typename Isa, size_t kKernel, size_t kStride>
struct SquareBlockI8 {
  template <size_t kPixels>
  static PTQ_INLINE void Run(const DepthwiseI8Row& row, size_t first) {
    const Int8Strip<Isa, kKernel, kPixels> strip(row, first);
    WalkColumns<kKernel, kStride>(strip, strip.outputs);
  }
};

// Any shape, output by output.
template <typename Isa>
struct AnyBlockI8 {
  template <size_t kPixels>
  static PTQ_INLINE void Run(const DepthwiseI8Row& row, size_t first) {
    constexpr size_t kRows = kGroupRows<Isa>;
    const Int8Block<Isa, kPixels> block(row, first);
    const DepthwiseShape& shape = row.shape;
    const size_t groups = CeilDiv(shape.kernel_h, kRows);
    for (size_t x = 0; x < block.outputs; ++x) {
      Parts<Isa> sum = block.Start();
      for (size_t kx = 0; kx < shape.kernel_w; ++kx) {
        const size_t column = (x * shape.stride + kx * shape.dilation) * shape.kernel_h;
        for (size_t group = 0; group < groups; ++group) {
          typename Isa::Vector rows[kRows];
#pragma unroll
          for (size_t i = 0; i < kRows; ++i)
            rows[i] = block.LoadWords(column + Min(group * kRows + i, shape.kernel_h - 1));
          block.Multiply(Interleave<Isa, kRows>(rows), group, kx, &sum);
        }
      }
      block.Store(x, sum);
    }
  }
};

// Block::Run on all channels.
template <typename Isa, typename Block>
PTQ_INLINE void ForEachBlockI8(const DepthwiseI8Row& row) {
  size_t width;
  for (size_t c = 0; c < row.shape.channels; c += width) {
    width = RowGroupBlock(Isa::kChannels, row.shape.channels - c);
    if (width == Isa::kChannels) Block::template Run<1>(row, c);
    if constexpr (Isa::kChannels >= 32) {
      if (width == Isa::kChannels / 2) Block::template Run<2>(row, c);
    }
    if constexpr (Isa::kChannels >= 64) {
      if (width == Isa::kChannels / 4) Block::template Run<4>(row, c);
    }
  }
}

template <typename Isa, size_t kKernel, size_t kStride>
PTQ_INLINE void SquareRowI8(const DepthwiseI8Row& row) {
  ForEachBlockI8<Isa, SquareBlockI8<Isa, kKernel, kStride>>(row);
}

template <typename Isa>
PTQ_INLINE void AnyRowI8(const DepthwiseI8Row& row) {
  ForEachBlockI8<Isa, AnyBlockI8<Isa>>(row);
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_INT8_STRIP_H_
