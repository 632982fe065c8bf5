// gemm for Armv8.0 NEON: float 12 pixels by 8 channels, int8 4 by 4.
#include <arm_neon.h>

#include "base/math.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/neon_i8.h"
#include "kernels/gemm/neon_quads.h"
#include "kernels/gemm/neon_store_f32.h"
#include "kernels/gemm/neon_tile.h"
#include "kernels/gemm/rows.h"

namespace ptq {
namespace {

// sum += w * lane kLane of x
template <int kLane>
PTQ_INLINE void MultiplyAdd(float32x4_t& sum, float32x4_t w, float32x4_t x) {
  __asm__ volatile("fmla %0.4s, %1.4s, %2.s[%3]" : "+w"(sum) : "w"(w), "w"(x), "n"(kLane));
}

struct GemmF32 {
  using Element = float;
  using Vector = float32x4_t;
  using Vectors = float32x4x4_t;
  using Output = BlockOutput<8>;
  static constexpr size_t kUnroll = 16;

  PTQ_INLINE static void Interleave(const Vectors& x, float* packed) { vst4q_f32(packed, x); }

  template <size_t kRows, size_t kQuads>
  PTQ_INLINE static void Accumulate(size_t products, const uint8_t* (&x)[kQuads], const uint8_t*& w,
                                    float32x4_t (&sum)[kRows][2]) {
    for (size_t k = products / kUnroll; k != 0; --k) {
#pragma unroll
      for (size_t step = 0; step < kUnroll; step += 2) AccumulateTwo(x, w, sum);
    }
    for (size_t k = products % kUnroll / 2; k != 0; --k) AccumulateTwo(x, w, sum);
    if (products % 2 != 0) {
      float32x4_t x0[kQuads];
#pragma unroll
      for (size_t q = 0; q < kQuads; ++q) LoadNext(x[q], x0[q]);
      AccumulateOne(x0, w, sum);
    }
  }

  template <size_t kRows, size_t kQuads>
  PTQ_INLINE static void AccumulateTwo(const uint8_t* (&x)[kQuads], const uint8_t*& w,
                                       float32x4_t (&sum)[kRows][2]) {
    float32x4_t x0[kQuads], x1[kQuads];
#pragma unroll
    for (size_t q = 0; q < kQuads; ++q) LoadPair<2 * kVectorBytes>(x[q], x0[q], x1[q]);
    AccumulateOne(x0, w, sum);
    AccumulateOne(x1, w, sum);
  }

  template <size_t kRows, size_t kQuads>
  PTQ_INLINE static void AccumulateOne(const float32x4_t (&x)[kQuads], const uint8_t*& w,
                                       float32x4_t (&sum)[kRows][2]) {
    float32x4_t w0, w1;
    LoadPair<2 * kVectorBytes>(w, w0, w1);
    MultiplyAddRows<0>(x, w0, sum);
    MultiplyAddRows<1>(x, w1, sum);
  }

  template <int kVector, size_t kRow = 0, size_t kRows, size_t kQuads>
  PTQ_INLINE static void MultiplyAddRows(const float32x4_t (&x)[kQuads], float32x4_t w,
                                         float32x4_t (&sum)[kRows][2]) {
    MultiplyAdd<kRow % 4>(sum[kRow][kVector], w, x[kRow / 4]);
    if constexpr (kRow + 1 < kRows) MultiplyAddRows<kVector, kRow + 1>(x, w, sum);
  }
};

}  // namespace

void gemm_f32_12x8__neon(const GemmF32Tile& tile) { RunQuads<GemmF32>(tile); }

void gemm_i8_4x4__neon(const GemmI8Tile& tile) { RunRowGroups<GemmI8<4>, 4>(tile); }

}  // namespace ptq
