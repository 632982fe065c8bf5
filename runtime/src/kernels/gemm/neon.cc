// gemm for Armv8.0 NEON: float 12 pixels by 8 channels, int8 4 by 4.
#include <arm_neon.h>

#include "base/math.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/neon_i8.h"
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

// 24 accumulators. Rows are copied into the scratch first, four of them interleaved:
//
//   packed[quad][k][i] = x[4 * quad + i][k]
//
// so that a register holds what one channel of four pixels is multiplied with. Read as they are,
// 12 rows would take 12 registers, and there are 6 for x beside 2 of weights.
class GemmF32 {
 public:
  static constexpr size_t kMr = 36, kGroupRows = 12, kNr = 8, kUnroll = 16;

  template <size_t kRows>
  __attribute__((noinline)) static void Rows(const GemmF32Tile& by_reference, size_t groups) {
    constexpr size_t kQuads = CeilDivided(kRows, 4);
    const GemmF32Tile tile = by_reference;
    const size_t products = tile.taps * tile.depth, quad_step = 4 * (products + 4);
    for (size_t g = 0; g < groups; ++g) PackGroup<kRows>(tile, g, quad_step);
    const uint8_t* block = reinterpret_cast<const uint8_t*>(tile.weights);
    for (size_t column = 0; column < tile.columns; column += kNr) {
      float buffer[kMr * kNr];
      BlockOutput<kNr> output(tile, column, buffer);
      const uint8_t *w = nullptr, *packed = reinterpret_cast<const uint8_t*>(tile.scratch);
      for (size_t g = 0; g < groups; ++g) {
        float32x4_t sum[kRows][2];
#pragma unroll
        for (size_t i = 0; i < kRows; ++i) LoadPairAt<0>(tile.bias + column, sum[i][0], sum[i][1]);
        const uint8_t* x[kQuads];
#pragma unroll
        for (size_t q = 0; q < kQuads; ++q, packed += quad_step * sizeof(float)) x[q] = packed;
        w = block;
        Accumulate(products, x, w, sum);
        output.Store(sum);
      }
      output.Finish(tile, column, groups * kRows, buffer);
      block = w;
    }
  }

 private:
  static constexpr size_t CeilDivided(size_t a, size_t b) { return (a + b - 1) / b; }

  // Where a tap's depth ends within four values, up to three too many are copied; the next tap
  // overwrites them.
  template <size_t kRows>
  PTQ_INLINE static void PackGroup(const GemmF32Tile& tile, size_t group, size_t quad_step) {
    constexpr size_t kQuads = CeilDivided(kRows, 4);
    for (size_t q = 0; q < kQuads; ++q) {
      float* packed = tile.scratch + (group * kQuads + q) * quad_step;
      const float* const* rows = tile.rows + group * kRows;
      for (size_t tap = 0; tap < tile.taps; ++tap, rows += kMr, packed += 4 * tile.depth) {
        PackQuad(rows[4 * q], rows[Min(4 * q + 1, kRows - 1)], rows[Min(4 * q + 2, kRows - 1)],
                 rows[Min(4 * q + 3, kRows - 1)], tile.depth, packed);
      }
    }
  }

  PTQ_INLINE static void PackQuad(const float* row0, const float* row1, const float* row2,
                                  const float* row3, size_t depth, float* packed) {
    const uint8_t* x[] = {
        reinterpret_cast<const uint8_t*>(row0), reinterpret_cast<const uint8_t*>(row1),
        reinterpret_cast<const uint8_t*>(row2), reinterpret_cast<const uint8_t*>(row3)};
    float32x4x4_t low, high;
    for (size_t k = depth / 8; k != 0; --k) {
#pragma unroll
      for (size_t i = 0; i < 4; ++i) LoadPair<2 * kVectorBytes>(x[i], low.val[i], high.val[i]);
      StoreNext(low, packed);
      StoreNext(high, packed);
    }
    for (size_t k = 0; k < depth % 8; k += 4) {
#pragma unroll
      for (size_t i = 0; i < 4; ++i) LoadNext(x[i], low.val[i]);
      StoreNext(low, packed);
    }
  }

  PTQ_INLINE static void StoreNext(const float32x4x4_t& x, float*& packed) {
    vst4q_f32(packed, x);
    packed += 16;
    __asm__("" : "+r"(packed));  // so that each store moves the pointer itself
  }

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

void gemm_f32_12x8__neon(const GemmF32Tile& tile) {
  RunRowGroups<GemmF32, GemmF32::kGroupRows>(tile);
}

void gemm_i8_4x4__neon(const GemmI8Tile& tile) { RunRowGroups<GemmI8<4>, 4>(tile); }

}  // namespace ptq
