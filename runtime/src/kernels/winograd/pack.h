// Transforming filters for the winograd family.
#ifndef PTQ_KERNELS_WINOGRAD_PACK_H_
#define PTQ_KERNELS_WINOGRAD_PACK_H_

#include <stddef.h>

#include "kernels/winograd/contract.h"

namespace ptq {

// G g, or (G g^T)^T: column by column, `step` apart.
inline void TransformFilterColumn(const double* g, size_t step, double* to) {
  const double outer = g[0] + g[2 * step], middle = g[step];
  to[0] = g[0];
  to[step] = (outer + middle) / 2;
  to[2 * step] = (outer - middle) / 2;
  to[3 * step] = g[2 * step];
}

// weights: [outputs][3][3][depth]; transformed: [16][outputs][depth], G g G^T rounded once.
inline void TransformFilters(const float* weights, size_t outputs, size_t depth,
                             float* transformed) {
  for (size_t j = 0; j < outputs; ++j, weights += 9 * depth, transformed += depth) {
    for (size_t k = 0; k < depth; ++k) {
      double rows[4][4], filter[4][4];
      for (size_t x = 0; x < 3; ++x) {
        double column[3 * 4];
        for (size_t y = 0; y < 3; ++y)
          column[4 * y] = static_cast<double>(weights[(3 * y + x) * depth + k]);
        TransformFilterColumn(column, 4, &rows[0][x]);
      }
      for (size_t y = 0; y < 4; ++y) {
        TransformFilterColumn(rows[y], 1, filter[y]);
        for (size_t x = 0; x < 4; ++x)
          transformed[(4 * y + x) * outputs * depth + k] = static_cast<float>(filter[y][x]);
      }
    }
  }
}

}  // namespace ptq

#endif  // PTQ_KERNELS_WINOGRAD_PACK_H_
