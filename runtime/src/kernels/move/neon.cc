// Transpose kernels for NEON: 8 x 8 bytes, 4 x 4 words. Pictures of 2 to 4 channels are interleaved
// by the store (NCHW to NHWC) or split by the load (the way back).
#include <arm_neon.h>

#include "kernels/move/tiles.h"

namespace ptq {
namespace {

PTQ_INLINE void Tile8(const uint8_t* x, size_t x_stride, uint8_t* y, size_t y_stride) {
  uint8x8_t row[8];
  for (size_t i = 0; i < 8; ++i) row[i] = vld1_u8(x + i * x_stride);
  // Neighbours swap halves of 1, then 2, then 4 bytes.
  uint16x4x2_t pairs[4];
  for (size_t i = 0; i < 4; ++i) {
    const uint8x8x2_t bytes = vtrn_u8(row[2 * i], row[2 * i + 1]);
    pairs[i] = {{vreinterpret_u16_u8(bytes.val[0]), vreinterpret_u16_u8(bytes.val[1])}};
  }
  for (size_t odd = 0; odd < 2; ++odd) {
    const uint16x4x2_t low = vtrn_u16(pairs[0].val[odd], pairs[1].val[odd]),
                       high = vtrn_u16(pairs[2].val[odd], pairs[3].val[odd]);
    for (size_t half = 0; half < 2; ++half) {
      const uint32x2x2_t words =
          vtrn_u32(vreinterpret_u32_u16(low.val[half]), vreinterpret_u32_u16(high.val[half]));
      uint8_t* to = y + (odd + 2 * half) * y_stride;
      vst1_u8(to, vreinterpret_u8_u32(words.val[0]));
      vst1_u8(to + 4 * y_stride, vreinterpret_u8_u32(words.val[1]));
    }
  }
}

PTQ_INLINE void Tile32(const uint32_t* x, size_t x_stride, uint32_t* y, size_t y_stride) {
  const uint32x4x2_t a = vtrnq_u32(vld1q_u32(x), vld1q_u32(x + x_stride)),
                     b = vtrnq_u32(vld1q_u32(x + 2 * x_stride), vld1q_u32(x + 3 * x_stride));
  for (size_t i = 0; i < 2; ++i) {
    vst1q_u32(y + i * y_stride, vcombine_u32(vget_low_u32(a.val[i]), vget_low_u32(b.val[i])));
    vst1q_u32(y + (i + 2) * y_stride,
              vcombine_u32(vget_high_u32(a.val[i]), vget_high_u32(b.val[i])));
  }
}

// The structures that the interleaving stores and loads take.
struct Bytes {
  using Element = uint8_t;
  static constexpr size_t kLanes = 16;
  static PTQ_INLINE uint8x16_t Load(const uint8_t* x) { return vld1q_u8(x); }
  static PTQ_INLINE void Store(uint8_t* y, uint8x16_t value) { vst1q_u8(y, value); }
  static PTQ_INLINE void Interleave(uint8_t* y, uint8x16x2_t rows) { vst2q_u8(y, rows); }
  static PTQ_INLINE void Interleave(uint8_t* y, uint8x16x3_t rows) { vst3q_u8(y, rows); }
  static PTQ_INLINE void Interleave(uint8_t* y, uint8x16x4_t rows) { vst4q_u8(y, rows); }
  static PTQ_INLINE void Split(const uint8_t* x, uint8x16x2_t* columns) { *columns = vld2q_u8(x); }
  static PTQ_INLINE void Split(const uint8_t* x, uint8x16x3_t* columns) { *columns = vld3q_u8(x); }
  static PTQ_INLINE void Split(const uint8_t* x, uint8x16x4_t* columns) { *columns = vld4q_u8(x); }
};

struct Words {
  using Element = uint32_t;
  static constexpr size_t kLanes = 4;
  static PTQ_INLINE uint32x4_t Load(const uint32_t* x) { return vld1q_u32(x); }
  static PTQ_INLINE void Store(uint32_t* y, uint32x4_t value) { vst1q_u32(y, value); }
  static PTQ_INLINE void Interleave(uint32_t* y, uint32x4x2_t rows) { vst2q_u32(y, rows); }
  static PTQ_INLINE void Interleave(uint32_t* y, uint32x4x3_t rows) { vst3q_u32(y, rows); }
  static PTQ_INLINE void Interleave(uint32_t* y, uint32x4x4_t rows) { vst4q_u32(y, rows); }
  static PTQ_INLINE void Split(const uint32_t* x, uint32x4x2_t* columns) {
    *columns = vld2q_u32(x);
  }
  static PTQ_INLINE void Split(const uint32_t* x, uint32x4x3_t* columns) {
    *columns = vld3q_u32(x);
  }
  static PTQ_INLINE void Split(const uint32_t* x, uint32x4x4_t* columns) {
    *columns = vld4q_u32(x);
  }
};

// A block of few rows whose columns lie together in y. Channels: the structure of as many vectors.
template <typename Isa, typename Channels>
PTQ_INLINE void InterleaveRows(const TransposeBlock& block) {
  using T = typename Isa::Element;
  constexpr size_t kRows = sizeof(Channels) / 16;
  const size_t x_stride = block.x_stride, columns = block.columns;  // stores to y cannot alias them
  const T* x = static_cast<const T*>(block.x);
  T* y = static_cast<T*>(block.y);
  size_t c = 0;
  for (; c + Isa::kLanes <= columns; c += Isa::kLanes) {
    Channels rows;
    for (size_t r = 0; r < kRows; ++r) rows.val[r] = Isa::Load(x + r * x_stride + c);
    Isa::Interleave(y + c * kRows, rows);
  }
  TransposeElements<T>(block, 0, c);
}

// A block of few columns that lie together in x.
template <typename Isa, typename Channels>
PTQ_INLINE void SplitColumns(const TransposeBlock& block) {
  using T = typename Isa::Element;
  constexpr size_t kColumns = sizeof(Channels) / 16;
  const size_t y_stride = block.y_stride, rows = block.rows;  // stores to y cannot alias them
  const T* x = static_cast<const T*>(block.x);
  T* y = static_cast<T*>(block.y);
  size_t r = 0;
  for (; r + Isa::kLanes <= rows; r += Isa::kLanes) {
    Channels columns;
    Isa::Split(x + r * kColumns, &columns);
    for (size_t c = 0; c < kColumns; ++c) Isa::Store(y + c * y_stride + r, columns.val[c]);
  }
  TransposeElements<T>(block, r, 0);
}

// True if the block is a picture of 2 to 4 channels, which is then moved.
template <typename Isa, typename Two, typename Three, typename Four>
PTQ_INLINE bool TransposePicture(const TransposeBlock& block) {
  if (block.rows >= 2 && block.rows <= 4 && block.y_stride == block.rows) {
    if (block.rows == 2) InterleaveRows<Isa, Two>(block);
    if (block.rows == 3) InterleaveRows<Isa, Three>(block);
    if (block.rows == 4) InterleaveRows<Isa, Four>(block);
    return true;
  }
  if (block.columns >= 2 && block.columns <= 4 && block.x_stride == block.columns) {
    if (block.columns == 2) SplitColumns<Isa, Two>(block);
    if (block.columns == 3) SplitColumns<Isa, Three>(block);
    if (block.columns == 4) SplitColumns<Isa, Four>(block);
    return true;
  }
  return false;
}

}  // namespace

void transpose_x8_8x8__neon(const TransposeBlock& block) {
  if (TransposePicture<Bytes, uint8x16x2_t, uint8x16x3_t, uint8x16x4_t>(block)) return;
  ForTiles<uint8_t, 8, 8>(block, Tile8);
}

void transpose_x32_4x4__neon(const TransposeBlock& block) {
  if (TransposePicture<Words, uint32x4x2_t, uint32x4x3_t, uint32x4x4_t>(block)) return;
  ForTiles<uint32_t, 4, 4>(block, Tile32);
}

}  // namespace ptq
