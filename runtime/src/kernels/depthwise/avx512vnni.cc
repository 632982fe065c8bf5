// Depthwise kernels for AVX-512 with VNNI.
//
// Int8: 64 lanes of bytes. vpdpbusd sums four neighbouring bytes, so four rows of the filter are
// interleaved (row_groups.h); a block of 32 or 16 channels fills the vector with two or four pixels
// of different parts of the row.
#include <immintrin.h>
#include <string.h>

#include "base/math.h"
#include "kernels/depthwise/contract.h"
#include "kernels/depthwise/float_strip.h"
#include "kernels/depthwise/row_groups.h"
#include "kernels/depthwise/walk.h"
#include "numerics/requantize_avx512.h"

namespace ptq {
namespace {

constexpr size_t kRows = 4;   // of the filter in a 32-bit lane
constexpr size_t kParts = 4;  // vectors of sums for 64 bytes of input
constexpr size_t kBytes = 64;

struct F32 {
  using Vector = __m512;
  static constexpr size_t kLanes = 16;

  static PTQ_INLINE Vector Load(const float* p) { return _mm512_loadu_ps(p); }
  static PTQ_INLINE void StoreFirst(float* p, size_t count, Vector v) {
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), v);
  }
  static PTQ_INLINE Vector Splat(float value) { return _mm512_set1_ps(value); }
  static PTQ_INLINE Vector MultiplyAdd(Vector a, Vector b, Vector sum) {
    return _mm512_fmadd_ps(a, b, sum);
  }
  static PTQ_INLINE Vector Clamp(Vector v, Vector lo, Vector hi) {
    return _mm512_min_ps(hi, _mm512_max_ps(lo, v));
  }
};

// The bytes of kPixels pixels, side by side.
template <size_t kPixels>
PTQ_INLINE __m512i LoadPixels(const int8_t* const* const (&rows)[kPixels], size_t at,
                              size_t first) {
  const auto pixel = [&](size_t i) __attribute__((always_inline)) { return rows[i][at] + first; };
  if constexpr (kPixels == 1) {
    return _mm512_loadu_si512(pixel(0));
  } else if constexpr (kPixels == 2) {
    const auto half = [&](size_t i) __attribute__((always_inline)) {
      return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pixel(i)));
    };
    return _mm512_inserti64x4(_mm512_castsi256_si512(half(0)), half(1), 1);
  } else {
    const auto quarter = [&](size_t i) __attribute__((always_inline)) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixel(i)));
    };
    const auto half = [&](size_t i) __attribute__((always_inline)) {
      return _mm256_inserti128_si256(_mm256_castsi128_si256(quarter(i)), quarter(i + 1), 1);
    };
    return _mm512_inserti64x4(_mm512_castsi256_si512(half(0)), half(2), 1);
  }
}

// 64 / kPixels bytes, repeated for each pixel.
template <size_t kPixels>
PTQ_INLINE __m512i LoadRepeated(const int8_t* p) {
  if constexpr (kPixels == 1) {
    return _mm512_loadu_si512(p);
  } else if constexpr (kPixels == 2) {
    return _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  } else {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
}

// What the 128-bit lanes of sums[part] need of a per-channel array of 32-bit values: lane l gets
// values[16 * (l % (4 / kPixels)) + 4 * part ...].
template <size_t kPixels, typename T>
PTQ_INLINE __m512i LoadChannels(const T* values, size_t part) {
  const auto lane = [&](size_t l) __attribute__((always_inline)) {
    return _mm_loadu_si128(
        reinterpret_cast<const __m128i*>(values + 16 * (l % (4 / kPixels)) + 4 * part));
  };
  const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(lane(0)), lane(1), 1);
  const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(lane(2)), lane(3), 1);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

// A block of 64 / kPixels channels. Pixel i of the vectors walks from output first_output[i].
template <size_t kPixels>
struct I8Block {
  static constexpr size_t kChannels = kBytes / kPixels;
  struct Sum {
    __m512i part[kParts];
  };

  const DepthwiseI8Row& row;
  size_t first, count;  // channels
  size_t outputs;       // that each pixel of the vectors walks over
  const int8_t* weights;
  size_t first_output[kPixels];
  const int8_t* const* columns[kPixels];
  __m512i bias[kParts];
  __m512 multiplier[kParts];
  Avx512Range range;

  PTQ_INLINE I8Block(const DepthwiseI8Row& row, size_t first)
      : row(row),
        first(first),
        count(Min(kChannels, row.shape.channels - first)),
        outputs(CeilDiv(row.outputs, kPixels)),
        weights(row.weights + first * RowGroupTaps<int8_t>(row.shape)),
        range(MakeAvx512Range(row.range)) {
#pragma unroll
    for (size_t i = 0; i < kPixels; ++i) {
      // The last parts of the row overlap where it does not divide evenly.
      first_output[i] = Min(i * outputs, row.outputs - outputs);
      columns[i] = row.columns + first_output[i] * row.shape.stride * row.shape.kernel_h;
    }
#pragma unroll
    for (size_t part = 0; part < kParts; ++part) {
      bias[part] = LoadChannels<kPixels>(row.bias + first, part);
      multiplier[part] = _mm512_castsi512_ps(LoadChannels<kPixels>(row.multiplier + first, part));
    }
  }

  PTQ_INLINE Sum Start() const {
    Sum sum;
#pragma unroll
    for (size_t part = 0; part < kParts; ++part) sum.part[part] = bias[part];
    return sum;
  }

  // `at`: index in `columns`. x + 128 is x with its sign bit flipped; the bias takes the 128 back.
  PTQ_INLINE __m512i LoadUnsigned(size_t at) const {
    return _mm512_xor_si512(LoadPixels<kPixels>(columns, at, first),
                            _mm512_set1_epi8(static_cast<char>(0x80)));
  }

  // Adds one group of rows, interleaved, under column kx of the filter.
  PTQ_INLINE void Multiply(const Sum& bytes, size_t group, size_t kx, Sum* sum) const {
    const int8_t* w = weights + (group * row.shape.kernel_w + kx) * kParts * kChannels;
#pragma unroll
    for (size_t part = 0; part < kParts; ++part)
      sum->part[part] = _mm512_dpbusd_epi32(sum->part[part], bytes.part[part],
                                            LoadRepeated<kPixels>(w + part * kChannels));
  }

  PTQ_INLINE void Store(size_t x, const Sum& sum) const {
    if (row.output_i8 != nullptr) {
      StoreI8(x, sum);
    } else {
      StoreF32(x, sum);
    }
  }

  PTQ_INLINE void StoreI8(size_t x, const Sum& sum) const {
    __m512 real[kParts];
#pragma unroll
    for (size_t part = 0; part < kParts; ++part)
      real[part] = ScaleX16(sum.part[part], multiplier[part]);
    // Packing undoes what unpacking did to the order.
    const __m512i q = _mm512_max_epi8(
        _mm512_packs_epi16(WordsX32(real[0], real[1], range), WordsX32(real[2], real[3], range)),
        range.q_min);
    const __mmask64 valid = ~__mmask64{0} >> (kBytes - count);
    int8_t* y[kPixels];
#pragma unroll
    for (size_t i = 0; i < kPixels; ++i)
      y[i] = row.output_i8 + (first_output[i] + x) * row.output_stride + first;
    if constexpr (kPixels == 1) {
      _mm512_mask_storeu_epi8(y[0], valid, q);
    } else if constexpr (kPixels == 2) {
      const __mmask32 half = static_cast<__mmask32>(valid);
      _mm256_mask_storeu_epi8(y[0], half, _mm512_castsi512_si256(q));
      _mm256_mask_storeu_epi8(y[1], half, _mm512_extracti64x4_epi64(q, 1));
    } else {
      const __mmask16 quarter = static_cast<__mmask16>(valid);
      _mm_mask_storeu_epi8(y[0], quarter, _mm512_castsi512_si128(q));
      _mm_mask_storeu_epi8(y[1], quarter, _mm512_extracti32x4_epi32(q, 1));
      _mm_mask_storeu_epi8(y[2], quarter, _mm512_extracti32x4_epi32(q, 2));
      _mm_mask_storeu_epi8(y[3], quarter, _mm512_extracti32x4_epi32(q, 3));
    }
  }

  PTQ_INLINE void StoreF32(size_t x, const Sum& sum) const {
    const __m512 lo = _mm512_set1_ps(row.lo), hi = _mm512_set1_ps(row.hi);
    alignas(64) float values[kParts][kPixels][kChannels / 16][4];
#pragma unroll
    for (size_t part = 0; part < kParts; ++part) {
      const __m512 product = ScaleX16(sum.part[part], multiplier[part]);
      _mm512_store_ps(&values[part][0][0][0], F32::Clamp(product, lo, hi));
    }
    for (size_t i = 0; i < kPixels; ++i) {
      float* y = row.output_f32 + (first_output[i] + x) * row.output_stride + first;
      for (size_t c = 0; c < count; ++c) y[c] = values[c % 16 / 4][i][c / 16][c % 4];
    }
  }
};

// Channel c of `rows` consecutive vectors to the 32-bit lane that row_groups.h gives it. Bytes of
// absent rows have zero weights.
template <size_t kPresent, typename Sum>
PTQ_INLINE Sum Interleave(const __m512i* rows) {
  const __m512i last = rows[kPresent - 1];
  const __m512i r1 = kPresent > 1 ? rows[1] : last, r2 = kPresent > 2 ? rows[2] : last;
  const __m512i low01 = _mm512_unpacklo_epi8(rows[0], r1);
  const __m512i high01 = _mm512_unpackhi_epi8(rows[0], r1);
  const __m512i low23 = kPresent > 2 ? _mm512_unpacklo_epi8(r2, last) : low01;
  const __m512i high23 = kPresent > 2 ? _mm512_unpackhi_epi8(r2, last) : high01;
  return {{_mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
           _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)}};
}

// Strip of WalkColumns.
template <size_t kKernel, size_t kPixels>
struct I8Strip : I8Block<kPixels> {
  using typename I8Block<kPixels>::Sum;
  using I8Block<kPixels>::I8Block;
  static constexpr size_t kGroups = (kKernel + kRows - 1) / kRows;
  struct Column {
    Sum groups[kGroups];
  };

  PTQ_INLINE Column Load(size_t column) const {
    __m512i rows[kKernel];
#pragma unroll
    for (size_t ky = 0; ky < kKernel; ++ky) rows[ky] = this->LoadUnsigned(column * kKernel + ky);
    Column values;
    constexpr size_t kLast = kGroups - 1;
#pragma unroll
    for (size_t group = 0; group < kLast; ++group)
      values.groups[group] = Interleave<kRows, Sum>(rows + group * kRows);
    values.groups[kLast] = Interleave<kKernel - kLast * kRows, Sum>(rows + kLast * kRows);
    return values;
  }

  PTQ_INLINE void Add(const Column& values, size_t kx, Sum* sum) const {
#pragma unroll
    for (size_t group = 0; group < kGroups; ++group)
      this->Multiply(values.groups[group], group, kx, sum);
  }
};

// Any shape, output by output.
template <size_t kPixels>
PTQ_INLINE void AnyBlockI8(const DepthwiseI8Row& row, size_t first) {
  const I8Block<kPixels> block(row, first);
  const DepthwiseShape& shape = row.shape;
  const size_t groups = CeilDiv(shape.kernel_h, kRows);
  for (size_t x = 0; x < block.outputs; ++x) {
    typename I8Block<kPixels>::Sum sum = block.Start();
    for (size_t kx = 0; kx < shape.kernel_w; ++kx) {
      const size_t column = (x * shape.stride + kx * shape.dilation) * shape.kernel_h;
      for (size_t group = 0; group < groups; ++group) {
        __m512i rows[kRows];
#pragma unroll
        for (size_t i = 0; i < kRows; ++i)
          rows[i] = block.LoadUnsigned(column + Min(group * kRows + i, shape.kernel_h - 1));
        block.Multiply(Interleave<kRows, typename I8Block<kPixels>::Sum>(rows), group, kx, &sum);
      }
    }
    block.Store(x, sum);
  }
}

template <size_t kKernel, size_t kStride, size_t kPixels>
PTQ_INLINE void SquareBlockI8(const DepthwiseI8Row& row, size_t first) {
  const I8Strip<kKernel, kPixels> strip(row, first);
  WalkColumns<kKernel, kStride>(strip, strip.outputs);
}

template <typename F64, typename F32, typename F16>
PTQ_INLINE void ForEachBlock(const DepthwiseI8Row& row, F64 wide, F32 half, F16 quarter) {
  size_t width;
  for (size_t c = 0; c < row.shape.channels; c += width) {
    width = RowGroupBlock(kBytes, row.shape.channels - c);
    if (width == 64) {
      wide(row, c);
    } else if (width == 32) {
      half(row, c);
    } else {
      quarter(row, c);
    }
  }
}

template <size_t kKernel, size_t kStride>
PTQ_INLINE void SquareRowI8(const DepthwiseI8Row& row) {
  ForEachBlock(row, SquareBlockI8<kKernel, kStride, 1>, SquareBlockI8<kKernel, kStride, 2>,
               SquareBlockI8<kKernel, kStride, 4>);
}

}  // namespace

void depthwise_f32_1x64__avx512vnni(const DepthwiseF32Row& row) { AnyRowF32<F32>(row); }

void depthwise_f32_3x3s1__avx512vnni(const DepthwiseF32Row& row) {
  SquareRowF32<F32, 3, 1, 2>(row);
}

void depthwise_f32_3x3s2__avx512vnni(const DepthwiseF32Row& row) {
  SquareRowF32<F32, 3, 2, 2>(row);
}

void depthwise_f32_5x5s1__avx512vnni(const DepthwiseF32Row& row) {
  SquareRowF32<F32, 5, 1, 1>(row);
}

void depthwise_f32_5x5s2__avx512vnni(const DepthwiseF32Row& row) {
  SquareRowF32<F32, 5, 2, 1>(row);
}

void depthwise_i8_1x64__avx512vnni(const DepthwiseI8Row& row) {
  ForEachBlock(row, AnyBlockI8<1>, AnyBlockI8<2>, AnyBlockI8<4>);
}

void depthwise_i8_3x3s1__avx512vnni(const DepthwiseI8Row& row) { SquareRowI8<3, 1>(row); }

void depthwise_i8_3x3s2__avx512vnni(const DepthwiseI8Row& row) { SquareRowI8<3, 2>(row); }

void depthwise_i8_5x5s1__avx512vnni(const DepthwiseI8Row& row) { SquareRowI8<5, 1>(row); }

void depthwise_i8_5x5s2__avx512vnni(const DepthwiseI8Row& row) { SquareRowI8<5, 2>(row); }

}  // namespace ptq
