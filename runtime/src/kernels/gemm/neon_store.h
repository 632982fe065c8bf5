// The epilogues of the NEON kernels: rows of accumulators to int8 or float, without a detour
// through memory for whole blocks.
#ifndef PTQ_KERNELS_GEMM_NEON_STORE_H_
#define PTQ_KERNELS_GEMM_NEON_STORE_H_

#include <arm_neon.h>

#include "base/math.h"
#include "kernels/gemm/contract.h"

namespace ptq {
namespace {

// Where a block's rows go: the output or, for a block that the output's columns do not fill, a
// buffer from which only those are copied.
template <typename T, size_t kRows, size_t kColumns>
class BlockOutput {
 public:
  PTQ_INLINE BlockOutput(T* output, size_t stride, size_t columns)
      : output_(output), stride_(stride), columns_(columns) {}
  PTQ_INLINE T* Begin() { return Whole() ? output_ : buffer_; }
  PTQ_INLINE size_t Stride() const { return Whole() ? stride_ : kColumns; }
  PTQ_INLINE void Finish() {
    if (!Whole()) CopyColumns(buffer_, columns_, output_, stride_);
  }

 private:
  PTQ_INLINE bool Whole() const { return columns_ >= kColumns; }
  __attribute__((noinline)) static void CopyColumns(const T* from, size_t columns, T* to,
                                                    size_t stride) {
    for (size_t i = 0; i < kRows; ++i, from += kColumns, to += stride) {
      for (size_t j = 0; j < columns; ++j) to[j] = from[j];
    }
  }

  T* output_;
  size_t stride_, columns_;
  T buffer_[kRows * kColumns];
};

struct NeonRange {
  int16x8_t zero_point;
  int8x16_t lo, hi;

  PTQ_INLINE explicit NeonRange(const OutputRange& range)
      : zero_point(vdupq_n_s16(static_cast<int16_t>(range.zero_point))),
        lo(vdupq_n_s8(static_cast<int8_t>(static_cast<int32_t>(range.lo) + range.zero_point))),
        hi(vdupq_n_s8(static_cast<int8_t>(static_cast<int32_t>(range.hi) + range.zero_point))) {}
};

// Requantize of numerics/requantize.h: every narrowing saturates, as +-inf and large values need.
PTQ_INLINE int16x8_t Requantize8(int32x4_t a0, int32x4_t a1, float32x4_t m0, float32x4_t m1,
                                 int16x8_t zero_point) {
  const int32x4_t q0 = vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(a0), m0));
  const int32x4_t q1 = vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(a1), m1));
  return vqaddq_s16(vqmovn_high_s32(vqmovn_s32(q0), q1), zero_point);
}

template <size_t kVectors>
PTQ_INLINE void StoreRow(const int32x4_t (&a)[kVectors], const float32x4_t (&m)[kVectors],
                         const NeonRange& range, int8_t* y) {
  const int16x8_t q0 = Requantize8(a[0], a[1], m[0], m[1], range.zero_point);
  if constexpr (kVectors == 4) {
    const int16x8_t q1 = Requantize8(a[2], a[3], m[2], m[3], range.zero_point);
    const int8x16_t q = vqmovn_high_s16(vqmovn_s16(q0), q1);
    vst1q_s8(y, vminq_s8(vmaxq_s8(q, range.lo), range.hi));
  } else {
    const int8x8_t q = vqmovn_s16(q0);
    vst1_s8(y, vmin_s8(vmax_s8(q, vget_low_s8(range.lo)), vget_low_s8(range.hi)));
  }
}

// y: rows of int32 accumulators, which become float outputs in place. Not inlined: int8 operators
// with a float output are rare.
template <size_t kRows, size_t kVectors>
__attribute__((noinline)) void ScaleRows(const GemmI8Tile& tile, const float* multiplier, float* y,
                                         size_t stride) {
  const float32x4_t lo = vdupq_n_f32(tile.lo), hi = vdupq_n_f32(tile.hi);
  for (size_t i = 0; i < kRows; ++i, y += stride) {
    for (size_t v = 0; v < kVectors; ++v) {
      const float32x4_t sum = vcvtq_f32_s32(vreinterpretq_s32_f32(vld1q_f32(y + 4 * v)));
      const float32x4_t value = vmulq_f32(sum, vld1q_f32(multiplier + 4 * v));
      vst1q_f32(y + 4 * v, vminq_f32(vmaxq_f32(value, lo), hi));
    }
  }
}

// columns: at most kVectors * 4, from `column` of the tile on.
template <size_t kRows, size_t kVectors>
PTQ_INLINE void StoreBlock(const GemmI8Tile& tile, size_t column, size_t columns,
                           const int32x4_t (&sum)[kRows][kVectors]) {
  const float* multiplier = tile.multiplier + column;
  if (tile.output_i8 != nullptr) {
    float32x4_t m[kVectors];
#pragma unroll
    for (size_t v = 0; v < kVectors; ++v) m[v] = vld1q_f32(multiplier + 4 * v);
    const NeonRange range(tile.range);
    BlockOutput<int8_t, kRows, 4 * kVectors> output(tile.output_i8 + column, tile.output_stride,
                                                    columns);
    int8_t* y = output.Begin();
    const size_t stride = output.Stride();
#pragma unroll
    for (size_t i = 0; i < kRows; ++i, y += stride) StoreRow(sum[i], m, range, y);
    output.Finish();
  } else {
    BlockOutput<float, kRows, 4 * kVectors> output(tile.output_f32 + column, tile.output_stride,
                                                   columns);
    float* y = output.Begin();
    const size_t stride = output.Stride();
#pragma unroll
    for (size_t i = 0; i < kRows; ++i) {
#pragma unroll
      for (size_t v = 0; v < kVectors; ++v) {
        vst1q_f32(y + i * stride + 4 * v, vreinterpretq_f32_s32(sum[i][v]));
      }
    }
    ScaleRows<kRows, kVectors>(tile, multiplier, y, stride);
    output.Finish();
  }
}

template <size_t kRows, size_t kVectors>
PTQ_INLINE void StoreBlock(const GemmF32Tile& tile, size_t column, size_t columns,
                           const float32x4_t (&sum)[kRows][kVectors]) {
  const float32x4_t lo = vdupq_n_f32(tile.lo), hi = vdupq_n_f32(tile.hi);
  BlockOutput<float, kRows, 4 * kVectors> output(tile.output + column, tile.output_stride, columns);
  float* y = output.Begin();
  const size_t stride = output.Stride();
#pragma unroll
  for (size_t i = 0; i < kRows; ++i, y += stride) {
#pragma unroll
    for (size_t v = 0; v < kVectors; ++v) {
      vst1q_f32(y + 4 * v, vminq_f32(vmaxq_f32(sum[i][v], lo), hi));
    }
  }
  output.Finish();
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_NEON_STORE_H_
