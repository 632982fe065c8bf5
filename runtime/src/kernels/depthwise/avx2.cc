// Depthwise kernels for AVX2.
//
// Int8: blocks of 16 channels, widened to int16. vpmaddwd sums two neighbouring words, so two rows
// of the filter are interleaved (row_groups.h).
#include <immintrin.h>
#include <string.h>

#include "base/math.h"
#include "kernels/depthwise/contract.h"
#include "kernels/depthwise/float_strip.h"
#include "kernels/depthwise/row_groups.h"
#include "kernels/depthwise/walk.h"
#include "numerics/requantize_avx2.h"

namespace ptq {
namespace {

constexpr size_t kRows = 2;   // of the filter in a 32-bit lane
constexpr size_t kParts = 2;  // vectors of sums
constexpr size_t kChannels = 16;

struct F32 {
  using Vector = __m256;
  static constexpr size_t kLanes = 8;

  static PTQ_INLINE Vector Load(const float* p) { return _mm256_loadu_ps(p); }
  static PTQ_INLINE void StoreFirst(float* p, size_t count, Vector v) {
    if (count == kLanes) {
      _mm256_storeu_ps(p, v);
    } else {
      float values[kLanes];
      _mm256_storeu_ps(values, v);
      for (size_t i = 0; i < count; ++i) p[i] = values[i];
    }
  }
  static PTQ_INLINE Vector Splat(float value) { return _mm256_set1_ps(value); }
  static PTQ_INLINE Vector MultiplyAdd(Vector a, Vector b, Vector sum) {
    return _mm256_fmadd_ps(a, b, sum);
  }
  static PTQ_INLINE Vector Clamp(Vector v, Vector lo, Vector hi) {
    return _mm256_min_ps(hi, _mm256_max_ps(lo, v));
  }
};

// What the 128-bit lanes of sums[part] need of a per-channel array of 32-bit values: channels
// 4 * part ... and 8 + 4 * part ...
template <typename T>
PTQ_INLINE __m256i LoadChannels(const T* values, size_t part) {
  return _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(values + 8 + 4 * part),
                             reinterpret_cast<const __m128i*>(values + 4 * part));
}

struct I8Block {
  struct Sum {
    __m256i part[kParts];
  };

  const DepthwiseI8Row& row;
  size_t first, count;  // channels
  const int8_t* weights;
  __m256i bias[kParts];
  __m256 multiplier[kParts];
  Avx2Range range;

  PTQ_INLINE I8Block(const DepthwiseI8Row& row, size_t first)
      : row(row),
        first(first),
        count(Min(kChannels, row.shape.channels - first)),
        weights(row.weights + first * RowGroupTaps<int16_t>(row.shape) * sizeof(int16_t)),
        range(MakeAvx2Range(row.range)) {
#pragma unroll
    for (size_t part = 0; part < kParts; ++part) {
      bias[part] = LoadChannels(row.bias + first, part);
      multiplier[part] = _mm256_castsi256_ps(LoadChannels(row.multiplier + first, part));
    }
  }

  PTQ_INLINE Sum Start() const { return {{bias[0], bias[1]}}; }

  // `at`: index in row.columns.
  PTQ_INLINE __m256i LoadWords(size_t at) const {
    return _mm256_cvtepi8_epi16(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(row.columns[at] + first)));
  }

  // Adds one group of rows, interleaved, under column kx of the filter.
  PTQ_INLINE void Multiply(const Sum& words, size_t group, size_t kx, Sum* sum) const {
    const __m256i* w =
        reinterpret_cast<const __m256i*>(weights) + (group * row.shape.kernel_w + kx) * kParts;
#pragma unroll
    for (size_t part = 0; part < kParts; ++part)
      sum->part[part] = _mm256_add_epi32(
          sum->part[part], _mm256_madd_epi16(words.part[part], _mm256_loadu_si256(w + part)));
  }

  PTQ_INLINE void Store(size_t x, const Sum& sum) const {
    const __m256 low = ScaleX8(sum.part[0], multiplier[0]);
    const __m256 high = ScaleX8(sum.part[1], multiplier[1]);
    if (row.output_i8 != nullptr) {
      StoreI8(row.output_i8 + x * row.output_stride + first, low, high);
    } else {
      StoreF32(row.output_f32 + x * row.output_stride + first, low, high);
    }
  }

  PTQ_INLINE void StoreI8(int8_t* y, __m256 low, __m256 high) const {
    // Packing undoes what unpacking did to the order.
    const __m256i words = _mm256_adds_epi16(
        _mm256_packs_epi32(RoundX8(low, range), RoundX8(high, range)), range.zero_point);
    const __m128i q = _mm_max_epi8(
        _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)),
        _mm256_castsi256_si128(range.q_min));
    if (count == kChannels) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y), q);
    } else {
      int8_t values[kChannels];
      _mm_storeu_si128(reinterpret_cast<__m128i*>(values), q);
      for (size_t c = 0; c < count; ++c) y[c] = values[c];
    }
  }

  PTQ_INLINE void StoreF32(float* y, __m256 low, __m256 high) const {
    const __m256 lo = _mm256_set1_ps(row.lo), hi = _mm256_set1_ps(row.hi);
    float values[kParts][2][4];
    _mm256_storeu_ps(&values[0][0][0], F32::Clamp(low, lo, hi));
    _mm256_storeu_ps(&values[1][0][0], F32::Clamp(high, lo, hi));
    for (size_t c = 0; c < count; ++c) y[c] = values[c % 8 / 4][c / 8][c % 4];
  }

  static PTQ_INLINE Sum Interleave(__m256i row0, __m256i row1) {
    return {{_mm256_unpacklo_epi16(row0, row1), _mm256_unpackhi_epi16(row0, row1)}};
  }
};

// Strip of WalkColumns.
template <size_t kKernel>
struct I8Strip : I8Block {
  using I8Block::I8Block;
  static constexpr size_t kGroups = (kKernel + kRows - 1) / kRows;
  struct Column {
    Sum groups[kGroups];
  };

  PTQ_INLINE Column Load(size_t column) const {
    Column values;
#pragma unroll
    for (size_t group = 0; group < kGroups; ++group) {
      const size_t ky = group * kRows, at = column * kKernel + ky;
      const __m256i row0 = LoadWords(at);
      // The weights of an absent row are zero.
      values.groups[group] = Interleave(row0, ky + 1 < kKernel ? LoadWords(at + 1) : row0);
    }
    return values;
  }

  PTQ_INLINE void Add(const Column& values, size_t kx, Sum* sum) const {
#pragma unroll
    for (size_t group = 0; group < kGroups; ++group) Multiply(values.groups[group], group, kx, sum);
  }
};

template <size_t kKernel, size_t kStride>
PTQ_INLINE void SquareRowI8(const DepthwiseI8Row& row) {
  for (size_t c = 0; c < row.shape.channels; c += kChannels)
    WalkColumns<kKernel, kStride>(I8Strip<kKernel>(row, c), row.outputs);
}

// Any shape, output by output.
PTQ_INLINE void AnyRowI8(const DepthwiseI8Row& row) {
  const DepthwiseShape& shape = row.shape;
  const size_t groups = CeilDiv(shape.kernel_h, kRows);
  for (size_t c = 0; c < shape.channels; c += kChannels) {
    const I8Block block(row, c);
    for (size_t x = 0; x < row.outputs; ++x) {
      I8Block::Sum sum = block.Start();
      for (size_t kx = 0; kx < shape.kernel_w; ++kx) {
        const size_t column = (x * shape.stride + kx * shape.dilation) * shape.kernel_h;
        for (size_t group = 0; group < groups; ++group) {
          const size_t ky = group * kRows;
          block.Multiply(
              I8Block::Interleave(block.LoadWords(column + ky),
                                  block.LoadWords(column + Min(ky + 1, shape.kernel_h - 1))),
              group, kx, &sum);
        }
      }
      block.Store(x, sum);
    }
  }
}

}  // namespace

void depthwise_f32_3x3s1__avx2(const DepthwiseF32Row& row) { SquareRowF32<F32, 3, 1, 1>(row); }

void depthwise_f32_3x3s2__avx2(const DepthwiseF32Row& row) { SquareRowF32<F32, 3, 2, 1>(row); }

void depthwise_f32_5x5s1__avx2(const DepthwiseF32Row& row) { SquareRowF32<F32, 5, 1, 1>(row); }

void depthwise_f32_5x5s2__avx2(const DepthwiseF32Row& row) { SquareRowF32<F32, 5, 2, 1>(row); }

void depthwise_f32_1x32__avx2(const DepthwiseF32Row& row) { AnyRowF32<F32>(row); }

void depthwise_i8_3x3s1__avx2(const DepthwiseI8Row& row) { SquareRowI8<3, 1>(row); }

void depthwise_i8_3x3s2__avx2(const DepthwiseI8Row& row) { SquareRowI8<3, 2>(row); }

void depthwise_i8_5x5s1__avx2(const DepthwiseI8Row& row) { SquareRowI8<5, 1>(row); }

void depthwise_i8_5x5s2__avx2(const DepthwiseI8Row& row) { SquareRowI8<5, 2>(row); }

void depthwise_i8_1x16__avx2(const DepthwiseI8Row& row) { AnyRowI8(row); }

}  // namespace ptq
