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

// weights: [outputs][taps][depth], canonical.
// packed: ceil(outputs / nr) blocks of [taps][round_up(depth, kd) / kr][nr][kr], zero where outputs
// or depth end: packed[block][tap][k / kr][j][k % kr] = weights[block * nr + j][tap][k].
template <typename T>
void PackGemmWeights(const T* weights, size_t outputs, size_t taps, size_t depth, size_t nr,
                     size_t kr, size_t kd, T* packed) {
  const size_t packed_depth = PackedGemmProducts(1, depth, kd);
  for (size_t begin = 0; begin < outputs; begin += nr) {
    const size_t count = Min(nr, outputs - begin);
    memset(packed, 0, taps * packed_depth * nr * sizeof(T));
    for (size_t tap = 0; tap < taps; ++tap) {
      for (size_t k = 0; k < depth; k += kr) {
        const size_t length = Min(kr, depth - k);
        for (size_t j = 0; j < count; ++j) {
          const T* group = weights + ((begin + j) * taps + tap) * depth + k;
          for (size_t i = 0; i < length; ++i) packed[j * kr + i] = group[i];
        }
        packed += nr * kr;
      }
      packed += (packed_depth - (depth + kr - 1) / kr * kr) * nr;
    }
  }
}

}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_PACK_H_
