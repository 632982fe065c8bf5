// Packing of weights for the gemm family.
#ifndef PTQ_KERNELS_GEMM_PACK_H_
#define PTQ_KERNELS_GEMM_PACK_H_

#include <stddef.h>

namespace ptq {

// weights: [outputs][depth], canonical. packed: ceil(outputs / nr) blocks of [depth][nr], zero
// where outputs end. Here depth counts all products of an output: taps * channels.
template <typename T>
void PackGemmWeights(const T* weights, size_t outputs, size_t depth, size_t nr, T* packed) {
  for (size_t begin = 0; begin < outputs; begin += nr) {
    for (size_t k = 0; k < depth; ++k) {
      for (size_t j = 0; j < nr; ++j) {
        *packed++ = begin + j < outputs ? weights[(begin + j) * depth + k] : T(0);
      }
    }
  }
}

}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_PACK_H_
