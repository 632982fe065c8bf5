// Depthwise kernels for NEON, Armv7 and A64.
//
// Int8: products of two taps are summed in int16, which holds two of them, then widened.
#include <arm_neon.h>

#include "base/math.h"
#include "kernels/depthwise/contract.h"
#include "kernels/depthwise/float_strip.h"
#include "kernels/depthwise/neon_i8_output.h"
#include "kernels/depthwise/walk.h"

namespace ptq {
namespace {

#if defined(__aarch64__)
constexpr size_t kF32Vectors = 2, kI8Vectors = 4;
#else  // half the registers
constexpr size_t kF32Vectors = 1, kI8Vectors = 2;
#endif

struct F32 {
  using Element = float;
  using Vector = float32x4_t;
  static constexpr size_t kLanes = 4;

  static PTQ_INLINE Vector Load(const float* p) { return vld1q_f32(p); }
  static PTQ_INLINE void Store(float* p, Vector v) { vst1q_f32(p, v); }
  static PTQ_INLINE void StoreFirst(float* p, size_t count, Vector v) {
    if (count == kLanes) {
      Store(p, v);
    } else {
      float values[kLanes];
      vst1q_f32(values, v);
      for (size_t i = 0; i < count; ++i) p[i] = values[i];
    }
  }
  static PTQ_INLINE Vector Splat(float value) { return vdupq_n_f32(value); }
  static PTQ_INLINE Vector MultiplyAdd(Vector a, Vector b, Vector sum) {
#if defined(__aarch64__)
    return vfmaq_f32(sum, a, b);
#else
    return vmlaq_f32(sum, a, b);
#endif
  }
  static PTQ_INLINE Vector Clamp(Vector v, Vector lo, Vector hi) {
    return vminq_f32(vmaxq_f32(v, lo), hi);
  }
  // Left to the core, which follows a pixel's rows by their distance.
  static PTQ_INLINE void Prefetch(const float*) {}
};

// Adds the products of 8 channels.
PTQ_INLINE void Widen(int16x8_t products, int32x4_t sums[2]) {
  sums[0] = vaddw_s16(sums[0], vget_low_s16(products));
#if defined(__aarch64__)
  sums[1] = vaddw_high_s16(sums[1], products);
#else
  sums[1] = vaddw_s16(sums[1], vget_high_s16(products));
#endif
}

// int8 values of 4 * kI8Vectors channels, and what is done with each 8 of them.
#if defined(__aarch64__)
using Channels = int8x16_t;
PTQ_INLINE Channels LoadChannels(const int8_t* x) { return vld1q_s8(x); }
PTQ_INLINE void AddProducts(Channels x0, Channels w0, Channels x1, Channels w1, int32x4_t* sums) {
  Widen(vmlal_s8(vmull_s8(vget_low_s8(x0), vget_low_s8(w0)), vget_low_s8(x1), vget_low_s8(w1)),
        sums);
  Widen(vmlal_high_s8(vmull_high_s8(x0, w0), x1, w1), sums + 2);
}
PTQ_INLINE void AddProducts(Channels x, Channels w, int32x4_t* sums) {
  Widen(vmull_s8(vget_low_s8(x), vget_low_s8(w)), sums);
  Widen(vmull_high_s8(x, w), sums + 2);
}
#else
using Channels = int8x8_t;
PTQ_INLINE Channels LoadChannels(const int8_t* x) { return vld1_s8(x); }
PTQ_INLINE void AddProducts(Channels x0, Channels w0, Channels x1, Channels w1, int32x4_t* sums) {
  Widen(vmlal_s8(vmull_s8(x0, w0), x1, w1), sums);
}
PTQ_INLINE void AddProducts(Channels x, Channels w, int32x4_t* sums) {
  Widen(vmull_s8(x, w), sums);
}
#endif

// Sums of products of kTaps taps. Calls input(i) and weight(i) for the channels of tap i.
template <size_t kTaps, typename Input, typename Weight>
PTQ_INLINE void AddTaps(Input input, Weight weight, int32x4_t* sums) {
#pragma unroll
  for (size_t i = 0; i + 1 < kTaps; i += 2)
    AddProducts(input(i), weight(i), input(i + 1), weight(i + 1), sums);
  if constexpr (kTaps % 2 == 1) AddProducts(input(kTaps - 1), weight(kTaps - 1), sums);
}

// 3x3: the window and the weights in registers.
template <typename Result>
struct I8Strip {
  static constexpr size_t kKernel = 3;
  struct Column {
    Channels rows[kKernel];
  };

  Result result;
  const int8_t* const* columns;
  size_t first;
  Channels weights[kKernel * kKernel];

  PTQ_INLINE I8Strip(const DepthwiseI8Row& row, size_t first, const Result& result)
      : result(result), columns(row.columns), first(first) {
#pragma unroll
    for (size_t i = 0; i < kKernel * kKernel; ++i)
      weights[i] = LoadChannels(row.weights + first * kKernel * kKernel + i * 4 * kI8Vectors);
  }

  PTQ_INLINE Column Load(size_t column) const {
    Column values;
#pragma unroll
    for (size_t ky = 0; ky < kKernel; ++ky)
      values.rows[ky] = LoadChannels(columns[column * kKernel + ky] + first);
    return values;
  }

  PTQ_INLINE void Output(size_t x, const Column* const window[kKernel]) const {
    I8Sums<kI8Vectors> sums = result.Bias();
    const auto input = [&](size_t i) __attribute__((always_inline)) {
      return window[i / kKernel]->rows[i % kKernel];
    };
    const auto weight = [&](size_t i) __attribute__((always_inline)) { return weights[i]; };
    AddTaps<kKernel * kKernel>(input, weight, sums.vectors);
    result.Store(x, sums);
  }
};

template <typename Result>
PTQ_INLINE I8Strip<Result> MakeI8Strip(const DepthwiseI8Row& row, size_t first,
                                       const Result& result) {
  return {row, first, result};
}

template <size_t kStride>
PTQ_INLINE void Row3x3I8(const DepthwiseI8Row& row) {
  ForEachI8Block<kI8Vectors>(
      row, [&](size_t first, const auto& result) __attribute__((always_inline)) {
        WalkWindows<3, kStride>(MakeI8Strip(row, first, result), row.outputs);
      });
}

// 5x5: more than the registers hold, so each output reads its window and the weights.
PTQ_INLINE void Row5x5I8(const DepthwiseI8Row& row) {
  constexpr size_t kKernel = 5, kTaps = kKernel * kKernel;
  ForEachI8Block<kI8Vectors>(
      row, [&](size_t first, const auto& result) __attribute__((always_inline)) {
        const int8_t* weights = row.weights + first * kTaps;
        const int8_t* const* window = row.columns;
        const size_t step = row.shape.stride * kKernel, outputs = row.outputs;
        for (size_t x = 0; x < outputs; ++x, window += step) {
          I8Sums<kI8Vectors> sums = result.Bias();
          const auto input = [&](size_t i) __attribute__((always_inline)) {
            return LoadChannels(window[i] + first);
          };
          const auto weight = [&](size_t i) __attribute__((always_inline)) {
            return LoadChannels(weights + i * 4 * kI8Vectors);
          };
          AddTaps<kTaps>(input, weight, sums.vectors);
          result.Store(x, sums);
        }
      });
}

}  // namespace

void depthwise_f32_3x3s1__neon(const DepthwiseF32Row& row) {
  SquareRow<F32, 3, 1, kF32Vectors>(row);
}

void depthwise_f32_3x3s2__neon(const DepthwiseF32Row& row) {
  SquareRow<F32, 3, 2, kF32Vectors>(row);
}

#if defined(__aarch64__)
void depthwise_f32_5x5s1__neon(const DepthwiseF32Row& row) { SquareRow<F32, 5, 1, 1>(row); }

void depthwise_f32_5x5s2__neon(const DepthwiseF32Row& row) { SquareRow<F32, 5, 2, 1>(row); }
#endif

void depthwise_f32_1x16__neon(const DepthwiseF32Row& row) { AnyRow<F32>(row); }

void depthwise_i8_3x3s1__neon(const DepthwiseI8Row& row) { Row3x3I8<1>(row); }

void depthwise_i8_3x3s2__neon(const DepthwiseI8Row& row) { Row3x3I8<2>(row); }

void depthwise_i8_5x5__neon(const DepthwiseI8Row& row) { Row5x5I8(row); }

}  // namespace ptq
