// Transforming filters for the winograd family.
#ifndef PTQ_KERNELS_WINOGRAD_PACK_H_
#define PTQ_KERNELS_WINOGRAD_PACK_H_

#include <stddef.h>

#include "kernels/winograd/contract.h"

namespace ptq {

// G g of one column or row.
inline void TransformFilter(double g0, double g1, double g2, double (&to)[4]) {
  to[0] = g0;
  to[1] = (g0 + g2 + g1) / 2;
  to[2] = (g0 + g2 - g1) / 2;
  to[3] = g2;
}

// filters: 3x3 of one output, `step` floats from one tap to the next, `count` channels.
// transformed: G g G^T, rounded once; [16], `to_step` floats from one position to the next.
inline void TransformFilters(const float* filters, size_t step, size_t count, size_t to_step,
                             float* transformed) {
  for (size_t k = 0; k < count; ++k) {
    double columns[3][4], rows[4][4];
    for (size_t x = 0; x < 3; ++x) {
      double column[3];
      for (size_t y = 0; y < 3; ++y)
        column[y] = static_cast<double>(filters[(3 * y + x) * step + k]);
      TransformFilter(column[0], column[1], column[2], columns[x]);
    }
    for (size_t y = 0; y < 4; ++y) {
      TransformFilter(columns[0][y], columns[1][y], columns[2][y], rows[y]);
      for (size_t x = 0; x < 4; ++x)
        transformed[(4 * y + x) * to_step + k] = static_cast<float>(rows[y][x]);
    }
  }
}

}  // namespace ptq

#endif  // PTQ_KERNELS_WINOGRAD_PACK_H_
