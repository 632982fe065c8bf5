// The epilogue of the NEON kernels for int8: a block's accumulators to int8 or float.
#ifndef PTQ_KERNELS_GEMM_NEON_STORE_I8_H_
#define PTQ_KERNELS_GEMM_NEON_STORE_I8_H_

#include <arm_neon.h>

#include "base/math.h"
#include "kernels/gemm/contract.h"
#include "numerics/requantize_neon.h"

namespace ptq {
namespace {

// sums: [kRows][kColumns], padded to 16, overwritten; of these the tile's columns from `column` on
// are stored: any output, any number of columns. Not inlined: most blocks do without.
template <size_t kRows, size_t kColumns>
__attribute__((noinline)) void StoreSums(const GemmI8Tile& tile, size_t column, int32_t* sums) {
  const int32x4_t shift = vdupq_n_s32(tile.shifted_sums ? kSumShift : 0);
  const size_t columns = Min(tile.columns - column, kColumns), stride = tile.output_stride;
  float32x4_t products[4];
  float m[16];
  for (size_t j = 0; j < 16; ++j) m[j] = tile.multiplier[column + j % kColumns];
  const NeonRange range = MakeNeonRange(tile.range);
  const float32x4_t lo = vdupq_n_f32(tile.lo), hi = vdupq_n_f32(tile.hi);
  const bool to_i8 = tile.output_i8 != nullptr;
  int8_t* const q = reinterpret_cast<int8_t*>(sums);
  float* const y = reinterpret_cast<float*>(sums);
  for (size_t i = 0; i < kRows * kColumns; i += 16) {
    for (size_t v = 0; v < 4; ++v) {
      const int32x4_t sum = vsubq_s32(vld1q_s32(sums + i + 4 * v), shift);
      products[v] = vmulq_f32(vcvtq_f32_s32(sum), vld1q_f32(m + 4 * v));
      if (!to_i8) vst1q_f32(y + i + 4 * v, vminq_f32(vmaxq_f32(products[v], lo), hi));
    }
    if (to_i8) {
      vst1q_s8(q + i, ClampX16(RoundX8(products[0], products[1], range),
                               RoundX8(products[2], products[3], range), range));
    }
  }
  for (size_t i = 0; i < kRows; ++i) {
    const size_t from = i * kColumns, to = i * stride + column;
    if (to_i8) {
      for (size_t j = 0; j < columns; ++j) tile.output_i8[to + j] = q[from + j];
    } else {
      for (size_t j = 0; j < columns; ++j) tile.output_f32[to + j] = y[from + j];
    }
  }
}

// Blocks are stored from their registers if they are whole, int8 and, on A64, of shifted sums.
#if defined(__aarch64__)
using I8Range = NeonShiftedRange;
constexpr bool kShiftedVectors = true;
PTQ_INLINE I8Range MakeI8Range(const OutputRange& range) { return MakeNeonShiftedRange(range); }
#else
using I8Range = NeonRange;
constexpr bool kShiftedVectors = false;
PTQ_INLINE I8Range MakeI8Range(const OutputRange& range) { return MakeNeonRange(range); }
#endif

PTQ_INLINE bool StoresVectors(const GemmI8Tile& tile, size_t column, size_t width) {
  return tile.shifted_sums == kShiftedVectors && tile.output_i8 != nullptr &&
         tile.columns - column >= width;
}

#if defined(__aarch64__)
// A block of kVectors * 4 columns from `column` on.
template <size_t kRows, size_t kVectors>
PTQ_INLINE void StoreBlock(const GemmI8Tile& tile, const I8Range& range, size_t column,
                           const int32x4_t (&sum)[kRows][kVectors]) {
  constexpr size_t kColumns = 4 * kVectors;
  if (!StoresVectors(tile, column, kColumns)) {
    int32_t sums[(kRows * kColumns + 15) / 16 * 16];
#pragma unroll
    for (size_t i = 0; i < kRows; ++i) {
#pragma unroll
      for (size_t v = 0; v < kVectors; ++v) vst1q_s32(sums + i * kColumns + 4 * v, sum[i][v]);
    }
    return StoreSums<kRows, kColumns>(tile, column, sums);
  }
  float32x4_t m[kVectors];
#pragma unroll
  for (size_t v = 0; v < kVectors; ++v) m[v] = vld1q_f32(tile.multiplier + column + 4 * v);
  int8x16_t q[kRows];
#pragma unroll
  for (size_t i = 0; i < kRows; ++i) {
    if constexpr (kVectors == 4) {
      q[i] = SaturateShiftedX16(sum[i][0], sum[i][1], sum[i][2], sum[i][3], m[0], m[1], m[2], m[3],
                                range);
    } else {
      const int8x8_t half = SaturateShiftedX8(sum[i][0], sum[i][1], m[0], m[1], range);
      q[i] = vcombine_s8(half, half);
    }
  }
  if (range.has_min) {
#pragma unroll
    for (size_t i = 0; i < kRows; ++i) q[i] = vmaxq_s8(q[i], range.q_min);
  }
  if (range.has_max) {
#pragma unroll
    for (size_t i = 0; i < kRows; ++i) q[i] = vminq_s8(q[i], range.q_max);
  }
  int8_t* y = tile.output_i8 + column;
#pragma unroll
  for (size_t i = 0; i < kRows; ++i, y += tile.output_stride) {
    if constexpr (kVectors == 4) {
      vst1q_s8(y, q[i]);
    } else {
      vst1_s8(y, vget_low_s8(q[i]));
    }
  }
}
#endif

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_NEON_STORE_I8_H_
