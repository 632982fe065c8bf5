// Transpose kernels for AVX2: 8 x 16 bytes, 4 x 8 words. Two or three rows are interleaved:
// pictures from NCHW to NHWC, shuffled channels.
#include <immintrin.h>

#include "kernels/move/tiles.h"

namespace ptq {
namespace {

PTQ_INLINE __m128i LoadBytes(const uint8_t* x) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
}

PTQ_INLINE void Tile8(const uint8_t* x, size_t x_stride, uint8_t* y, size_t y_stride) {
  __m128i a[8], b[8];
  for (size_t i = 0; i < 8; ++i) a[i] = LoadBytes(x + i * x_stride);
  // Rows 0 1, 2 3, ... in pairs of bytes, then in fours, then in eights: two columns per register.
  for (size_t i = 0; i < 4; ++i) {
    b[i] = _mm_unpacklo_epi8(a[2 * i], a[2 * i + 1]);
    b[i + 4] = _mm_unpackhi_epi8(a[2 * i], a[2 * i + 1]);
  }
  for (size_t i = 0; i < 4; ++i) {  // b[2 i], b[2 i + 1]: rows 0 ... 3 or 4 ... 7 of 8 columns
    a[i] = _mm_unpacklo_epi16(b[2 * i], b[2 * i + 1]);
    a[i + 4] = _mm_unpackhi_epi16(b[2 * i], b[2 * i + 1]);
  }
  for (size_t i = 0; i < 4; ++i) {
    // a[0] a[1]: columns 0 ... 3 of rows 0 ... 3, 4 ... 7; a[4] a[5]: columns 4 ... 7; a[2] a[3]
    // and a[6] a[7] the same 8 columns on.
    const size_t from = i % 2 * 4 + i / 2 * 2;
    const __m128i low = _mm_unpacklo_epi32(a[from], a[from + 1]),
                  high = _mm_unpackhi_epi32(a[from], a[from + 1]);
    uint8_t* to = y + 4 * i * y_stride;
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), low);
    _mm_storeh_pi(reinterpret_cast<__m64*>(to + y_stride), _mm_castsi128_ps(low));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to + 2 * y_stride), high);
    _mm_storeh_pi(reinterpret_cast<__m64*>(to + 3 * y_stride), _mm_castsi128_ps(high));
  }
}

PTQ_INLINE void Tile32(const float* x, size_t x_stride, float* y, size_t y_stride) {
  const __m256 r0 = _mm256_loadu_ps(x), r1 = _mm256_loadu_ps(x + x_stride),
               r2 = _mm256_loadu_ps(x + 2 * x_stride), r3 = _mm256_loadu_ps(x + 3 * x_stride);
  const __m256 a = _mm256_unpacklo_ps(r0, r1), b = _mm256_unpackhi_ps(r0, r1),
               c = _mm256_unpacklo_ps(r2, r3), d = _mm256_unpackhi_ps(r2, r3);
  // Columns i and i + 4.
  const __m256 column[4] = {_mm256_shuffle_ps(a, c, 0x44), _mm256_shuffle_ps(a, c, 0xEE),
                            _mm256_shuffle_ps(b, d, 0x44), _mm256_shuffle_ps(b, d, 0xEE)};
  for (size_t i = 0; i < 4; ++i) {
    _mm_storeu_ps(y + i * y_stride, _mm256_castps256_ps128(column[i]));
    _mm_storeu_ps(y + (i + 4) * y_stride, _mm256_extractf128_ps(column[i], 1));
  }
}

// 16 pixels of three channels: each output register takes every third byte from each channel.
PTQ_INLINE void Interleave3(const uint8_t* x0, const uint8_t* x1, const uint8_t* x2, uint8_t* y) {
  const __m128i x[3] = {LoadBytes(x0), LoadBytes(x1), LoadBytes(x2)};
  // Byte j of output i is pixel (16 i + j) / 3 of channel (16 i + j) % 3.
  alignas(16) static constexpr int8_t kPick[3][3][16] = {
      {{0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5},
       {-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1},
       {-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1}},
      {{-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1},
       {5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10},
       {-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1}},
      {{-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1},
       {-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1},
       {10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15}}};
  for (size_t i = 0; i < 3; ++i) {
    __m128i bytes = _mm_setzero_si128();
    for (size_t channel = 0; channel < 3; ++channel) {
      const __m128i pick = _mm_load_si128(reinterpret_cast<const __m128i*>(kPick[i][channel]));
      bytes = _mm_or_si128(bytes, _mm_shuffle_epi8(x[channel], pick));
    }
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y + 16 * i), bytes);
  }
}

// 8 pixels: every channel is spread to three registers, which are blended.
PTQ_INLINE void Interleave3(const float* x0, const float* x1, const float* x2, float* y) {
  const __m256 a = _mm256_loadu_ps(x0), b = _mm256_loadu_ps(x1), c = _mm256_loadu_ps(x2);
  // Element j of output i is pixel (8 i + j) / 3 of channel (8 i + j) % 3.
  const __m256i first = _mm256_setr_epi32(0, 0, 0, 1, 1, 1, 2, 2),
                second = _mm256_setr_epi32(2, 3, 3, 3, 4, 4, 4, 5),
                third = _mm256_setr_epi32(5, 5, 6, 6, 6, 7, 7, 7);
  const auto spread = [](__m256 x, __m256i pixels) __attribute__((always_inline)) {
    return _mm256_permutevar8x32_ps(x, pixels);
  };
  const __m256 y0 = _mm256_blend_ps(_mm256_blend_ps(spread(a, first), spread(b, first), 0x92),
                                    spread(c, first), 0x24);
  const __m256 y1 = _mm256_blend_ps(_mm256_blend_ps(spread(a, second), spread(b, second), 0x24),
                                    spread(c, second), 0x49);
  const __m256 y2 = _mm256_blend_ps(_mm256_blend_ps(spread(a, third), spread(b, third), 0x49),
                                    spread(c, third), 0x92);
  _mm256_storeu_ps(y, y0);
  _mm256_storeu_ps(y + 8, y1);
  _mm256_storeu_ps(y + 16, y2);
}

PTQ_INLINE void Interleave2(const uint8_t* x0, const uint8_t* x1, uint8_t* y) {
  const __m128i a = LoadBytes(x0), b = LoadBytes(x1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(y), _mm_unpacklo_epi8(a, b));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(y + 16), _mm_unpackhi_epi8(a, b));
}

PTQ_INLINE void Interleave2(const float* x0, const float* x1, float* y) {
  const __m256 a = _mm256_loadu_ps(x0), b = _mm256_loadu_ps(x1);
  const __m256 low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
  _mm256_storeu_ps(y, _mm256_permute2f128_ps(low, high, 0x20));
  _mm256_storeu_ps(y + 8, _mm256_permute2f128_ps(low, high, 0x31));
}

// True if the block has two or three rows (channels of a picture) which are to be interleaved; they
// are, kPixels at a time.
template <typename T, size_t kPixels>
PTQ_INLINE bool InterleaveRows(const TransposeBlock& block) {
  if (block.rows < 2 || block.rows > 3 || block.y_stride != block.rows) return false;
  const T *x0 = static_cast<const T*>(block.x), *x1 = x0 + block.x_stride;
  T* y = static_cast<T*>(block.y);
  size_t i = 0;
  if (block.rows == 2) {
    for (; i + kPixels <= block.columns; i += kPixels) Interleave2(x0 + i, x1 + i, y + 2 * i);
  } else {
    const T* x2 = x1 + block.x_stride;
    for (; i + kPixels <= block.columns; i += kPixels)
      Interleave3(x0 + i, x1 + i, x2 + i, y + 3 * i);
  }
  TransposeElements<T>(block, 0, i);
  return true;
}

}  // namespace

void transpose_x8_8x16__avx2(const TransposeBlock& block) {
  if (InterleaveRows<uint8_t, 16>(block)) return;
  ForTiles<uint8_t, 8, 16>(block, Tile8);
}

void transpose_x32_4x8__avx2(const TransposeBlock& block) {
  if (InterleaveRows<float, 8>(block)) return;
  ForTiles<float, 4, 8>(block, Tile32);
}

}  // namespace ptq
