// Packing of weights for the gemm family.
#ifndef PTQ_KERNELS_GEMM_PACK_H_
#define PTQ_KERNELS_GEMM_PACK_H_

#include <stddef.h>

namespace ptq {

// Products of one output in packed weights: each tap's depth is rounded up to whole groups of kr.
inline size_t PackedGemmProducts(size_t taps, size_t depth, size_t kr) {
  return taps * ((depth + kr - 1) / kr * kr);
}

// weights: [outputs][taps][depth], canonical.
// packed: ceil(outputs / nr) blocks of [taps][ceil(depth / kr)][nr][kr], zero where outputs or
// depth end: packed[block][tap][k / kr][j][k % kr] = weights[block * nr + j][tap][k].
template <typename T>
void PackGemmWeights(const T* weights, size_t outputs, size_t taps, size_t depth, size_t nr,
                     size_t kr, T* packed) {
  for (size_t begin = 0; begin < outputs; begin += nr) {
    for (size_t tap = 0; tap < taps; ++tap) {
      for (size_t group = 0; group < depth; group += kr) {
        for (size_t j = 0; j < nr; ++j) {
          const T* row = weights + ((begin + j) * taps + tap) * depth;
          for (size_t k = group; k < group + kr; ++k) {
            *packed++ = begin + j < outputs && k < depth ? row[k] : T(0);
          }
        }
      }
    }
  }
}

}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_PACK_H_
