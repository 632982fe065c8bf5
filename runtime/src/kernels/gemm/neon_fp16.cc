// gemm in half precision, Armv8.2: 12 pixels by 16 channels.
#include <arm_neon.h>
#include <math.h>

#include "base/math.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/neon_quads.h"
#include "kernels/gemm/neon_tile.h"

namespace ptq {
namespace {

// sum += w * lane kLane of x. For halves the instruction takes x from the first 16 registers only:
// constraint "x".
template <int kLane>
PTQ_INLINE void MultiplyAdd(float16x8_t& sum, float16x8_t w, float16x8_t x) {
  __asm__ volatile("fmla %0.8h, %1.8h, %2.h[%3]" : "+w"(sum) : "w"(w), "x"(x), "n"(kLane));
}

// a, b = 32 bytes from p, where MultiplyAdd takes lanes from; p += 32.
PTQ_INLINE void LoadLanes(const uint8_t*& p, float16x8_t& a, float16x8_t& b) {
  __asm__ volatile("ldp %q0, %q1, [%2], #32" : "=x"(a), "=x"(b), "+r"(p));
}

PTQ_INLINE void LoadLanes(const uint8_t*& p, float16x8_t& a) {
  __asm__ volatile("ldr %q0, [%1], #16" : "=x"(a), "+r"(p));
}

struct GemmF16 {
  using Element = Half;
  using Vector = float16x8_t;
  using Vectors = uint16x8x4_t;
  static constexpr size_t kNr = 16, kUnroll = 16;

  // The rows of a block of channels, one after another: to the output, or where it has not all of
  // the channels to `buffer`.
  class Output {
   public:
    PTQ_INLINE Output(const GemmF16Tile& tile, size_t column, Half* buffer)
        : lo_(vdupq_n_f16(static_cast<__fp16>(tile.lo))),
          hi_(vdupq_n_f16(static_cast<__fp16>(tile.hi))),
          clamps_(tile.lo > -INFINITY || tile.hi < INFINITY),
          whole_(tile.columns - column >= kNr),
          y_(whole_ ? tile.output + column : buffer),
          stride_(whole_ ? tile.output_stride : kNr) {}

    template <size_t kRows>
    PTQ_INLINE void Store(const float16x8_t (&sum)[kRows][2]) {
      if (clamps_) {
        StoreRows<true>(sum);
      } else {
        StoreRows<false>(sum);
      }
    }

    PTQ_INLINE void Finish(const GemmF16Tile& tile, size_t column, size_t rows,
                           const Half* buffer) const {
      if (whole_) return;
      for (size_t i = 0; i < rows; ++i) {
        Half* to = tile.output + i * tile.output_stride + column;
        for (size_t j = 0; j < tile.columns - column; ++j) to[j] = buffer[i * kNr + j];
      }
    }

   private:
    template <bool kClamps, size_t kRows>
    PTQ_INLINE void StoreRows(const float16x8_t (&sum)[kRows][2]) {
#pragma unroll
      for (size_t i = 0; i < kRows; ++i, y_ += stride_) {
#pragma unroll
        for (size_t v = 0; v < 2; ++v) {
          const float16x8_t value = kClamps ? vminq_f16(vmaxq_f16(sum[i][v], lo_), hi_) : sum[i][v];
          vst1q_u16(&y_[8 * v].bits, vreinterpretq_u16_f16(value));
        }
      }
    }

    float16x8_t lo_, hi_;
    bool clamps_, whole_;
    Half* y_;
    size_t stride_;
  };

  PTQ_INLINE static void Interleave(const Vectors& x, Half* packed) { vst4q_u16(&packed->bits, x); }

  template <size_t kRows, size_t kQuads>
  PTQ_INLINE static void Accumulate(size_t products, const uint8_t* (&x)[kQuads], const uint8_t*& w,
                                    float16x8_t (&sum)[kRows][2]) {
    for (size_t k = products / kUnroll; k != 0; --k) {
#pragma unroll
      for (size_t step = 0; step < kUnroll; step += 4) AccumulateFour(x, w, sum);
    }
    for (size_t k = products % kUnroll / 4; k != 0; --k) AccumulateFour(x, w, sum);
    for (size_t k = products % 4; k != 0; --k) {
      float16x8_t x0[kQuads];
#pragma unroll
      for (size_t q = 0; q < kQuads; ++q) {
        LoadLanes(x[q], x0[q]);
        x[q] -= 8;  // one channel of four pixels
      }
      AccumulateOne<0>(x0, w, sum);
    }
  }

  template <size_t kRows, size_t kQuads>
  PTQ_INLINE static void AccumulateFour(const uint8_t* (&x)[kQuads], const uint8_t*& w,
                                        float16x8_t (&sum)[kRows][2]) {
    float16x8_t x0[kQuads], x1[kQuads];
#pragma unroll
    for (size_t q = 0; q < kQuads; ++q) LoadLanes(x[q], x0[q], x1[q]);
    AccumulateOne<0>(x0, w, sum);
    AccumulateOne<4>(x0, w, sum);
    AccumulateOne<0>(x1, w, sum);
    AccumulateOne<4>(x1, w, sum);
  }

  // kLane: of the channel's first pixel.
  template <int kLane, size_t kRows, size_t kQuads>
  PTQ_INLINE static void AccumulateOne(const float16x8_t (&x)[kQuads], const uint8_t*& w,
                                       float16x8_t (&sum)[kRows][2]) {
    float16x8_t w0, w1;
    LoadPair<2 * kVectorBytes>(w, w0, w1);
    MultiplyAddRows<0, kLane>(x, w0, sum);
    MultiplyAddRows<1, kLane>(x, w1, sum);
  }

  template <int kVector, int kLane, size_t kRow = 0, size_t kRows, size_t kQuads>
  PTQ_INLINE static void MultiplyAddRows(const float16x8_t (&x)[kQuads], float16x8_t w,
                                         float16x8_t (&sum)[kRows][2]) {
    MultiplyAdd<kLane + kRow % 4>(sum[kRow][kVector], w, x[kRow / 4]);
    if constexpr (kRow + 1 < kRows) MultiplyAddRows<kVector, kLane, kRow + 1>(x, w, sum);
  }
};

}  // namespace

void gemm_f16_12x16__neon_fp16(const GemmF16Tile& tile) { RunQuads<GemmF16>(tile); }

}  // namespace ptq
