// Packing of weights for the gemm family.
#ifndef PTQ_KERNELS_GEMM_PACK_H_
#define PTQ_KERNELS_GEMM_PACK_H_

#include <stddef.h>
#include <string.h>

#include "base/math.h"

namespace ptq {

// Products of one output in packed weights: each tap's depth is rounded up to a multiple of kd.
inline size_t PackedGemmProducts(size_t taps, size_t depth, size_t kd) {
  return taps * ((depth + kd - 1) / kd * kd);
}

// Copies `depth` values of one output's row to every nr-th group of kKr.
template <typename T, size_t kKr>
void PackGemmRow(const T* row, size_t depth, size_t nr, T* packed) {
  size_t k = 0;
  for (; k + kKr <= depth; k += kKr, packed += nr * kKr) memcpy(packed, row + k, kKr * sizeof(T));
  if (k < depth) memcpy(packed, row + k, (depth - k) * sizeof(T));
}

// weights: [outputs][taps][depth], canonical.
// packed: ceil(outputs / nr) blocks of [taps][round_up(depth, kd) / kr][nr][kr], zero where outputs
// or depth end: packed[block][tap][k / kr][j][k % kr] = weights[block * nr + j][tap][k].
// kr is 1, 2, 4, 8 or 16.
template <typename T>
void PackGemmWeights(const T* weights, size_t outputs, size_t taps, size_t depth, size_t nr,
                     size_t kr, size_t kd, T* packed) {
  // Stretches of depth, so that the lines that are written stay in the cache for all nr outputs.
  constexpr size_t kStretch = 64;
  const size_t packed_depth = PackedGemmProducts(1, depth, kd);
  const auto pack_row = kr == 1   ? PackGemmRow<T, 1>
                        : kr == 2 ? PackGemmRow<T, 2>
                        : kr == 4 ? PackGemmRow<T, 4>
                        : kr == 8 ? PackGemmRow<T, 8>
                                  : PackGemmRow<T, 16>;
  for (size_t begin = 0; begin < outputs; begin += nr) {
    const size_t count = Min(nr, outputs - begin);
    if (count < nr || packed_depth != depth)
      memset(packed, 0, taps * packed_depth * nr * sizeof(T));
    for (size_t tap = 0; tap < taps; ++tap, packed += packed_depth * nr) {
      for (size_t k = 0; k < depth; k += kStretch) {
        for (size_t j = 0; j < count; ++j) {
          pack_row(weights + ((begin + j) * taps + tap) * depth + k, Min(kStretch, depth - k), nr,
                   packed + k * nr + j * kr);
        }
      }
    }
  }
}

}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_PACK_H_
