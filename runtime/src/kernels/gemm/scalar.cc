// Portable gemm kernels on the compiler's vector types, which exist for every target. Plain loops
// would leave the speed to the auto-vectoriser, which differs by a factor of three between
// compilers.
#include <string.h>

#include "base/math.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/store_i8.h"

namespace ptq {
namespace {

constexpr size_t kMr = 4, kNr = 8;

typedef float F32x8 __attribute__((vector_size(32)));
typedef int8_t I8x8 __attribute__((vector_size(8)));
typedef int16_t I16x8 __attribute__((vector_size(16)));
typedef int32_t I32x8 __attribute__((vector_size(32)));

inline I16x8 LoadWeights(const int8_t* p) {
  I8x8 w;
  memcpy(&w, p, sizeof w);
  return __builtin_convertvector(w, I16x8);
}

}  // namespace

static void BlockF32(const GemmF32Tile& tile) {
  F32x8 sum[kMr];
  memcpy(&sum[0], tile.bias, sizeof sum[0]);
  for (size_t i = 1; i < kMr; ++i) sum[i] = sum[0];
  const float* weights = tile.weights;
  for (size_t tap = 0; tap < tile.taps; ++tap) {
    const float* rows[kMr];
    memcpy(rows, tile.rows + tap * kMr, sizeof rows);
    for (size_t k = 0; k < tile.depth; ++k, weights += kNr) {
      F32x8 w;
      memcpy(&w, weights, sizeof w);
      for (size_t i = 0; i < kMr; ++i) sum[i] += w * rows[i][k];
    }
  }
  for (size_t i = 0; i < tile.valid_rows; ++i) {
    float y[kNr];
    for (size_t j = 0; j < kNr; ++j) y[j] = Clamp(sum[i][j], tile.lo, tile.hi);
    memcpy(tile.output + i * tile.output_stride, y, tile.columns * sizeof(float));
  }
}

static void BlockI8(const GemmI8Tile& tile) {
  I32x8 sum[kMr];
  memcpy(&sum[0], tile.bias, sizeof sum[0]);
  for (size_t i = 1; i < kMr; ++i) sum[i] = sum[0];
  const int8_t* w = tile.weights;
  for (size_t tap = 0; tap < tile.taps; ++tap) {
    const int8_t* rows[kMr];
    memcpy(rows, tile.rows + tap * kMr, sizeof rows);
    size_t k = 0;
    // Two products fit in int16, since |w| <= 127: 2 * 128 * 127 = 32512. That halves the widening
    // to int32.
    for (; k + 2 <= tile.depth; k += 2, w += 2 * kNr) {
      const I16x8 w0 = LoadWeights(w), w1 = LoadWeights(w + kNr);
      for (size_t i = 0; i < kMr; ++i) {
        const int16_t x0 = rows[i][k], x1 = rows[i][k + 1];
        sum[i] += __builtin_convertvector(w0 * x0 + w1 * x1, I32x8);
      }
    }
    if (k < tile.depth) {
      const I16x8 w0 = LoadWeights(w);
      for (size_t i = 0; i < kMr; ++i) {
        const int16_t x0 = rows[i][k];
        sum[i] += __builtin_convertvector(w0 * x0, I32x8);
      }
      w += kNr;
    }
  }
  for (size_t i = 0; i < tile.valid_rows; ++i) {
    int32_t accumulator[kNr];
    memcpy(accumulator, &sum[i], sizeof accumulator);
    StoreRow<kNr>(tile, i, accumulator);
  }
}

void gemm_f32_4x8__scalar(const GemmF32Tile& tile) { ForEachBlock<8>(tile, BlockF32); }

void gemm_i8_4x8__scalar(const GemmI8Tile& tile) { ForEachBlock<8, 1>(tile, BlockI8); }

}  // namespace ptq
