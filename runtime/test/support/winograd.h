// The error bound of 3x3 convolutions that may be computed by Winograd's F(2x2, 3x3), written
// directly from docs/numerics.md.
#ifndef PTQ_TEST_SUPPORT_WINOGRAD_H_
#define PTQ_TEST_SUPPORT_WINOGRAD_H_

#include <math.h>
#include <stddef.h>

#include "test/support/list.h"

namespace ptq_test {

// Magnitudes and matrices of F(2x2, 3x3).
constexpr double kInputMagnitude[4][4] = {{1, 0, 1, 0}, {0, 1, 1, 0}, {0, 1, 1, 0}, {0, 1, 0, 1}};
constexpr double kFilterMatrix[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
constexpr double kOutputMagnitude[2][4] = {{1, 1, 1, 0}, {0, 1, 1, 1}};

struct WinogradCase {
  size_t n, h, w, c, o, pad_top, pad_left, out_h, out_w;
};

// x: [n][h][w][c], w: [o][3][3][c], b: [o] or null. Raises magnitude[n][out_h][out_w][o], of which
// a direct convolution may err by (9 c + 8) * 2^-24, to where Winograd's bound is covered as well:
// (c + 8) * 2^-24 * (|A^T| [sum over c of |G g G^T| * (|B^T| |d| |B|)] |A| + |b|).
inline void CoverWinograd(const WinogradCase& t, const float* x, const float* w, const float* b,
                          double* magnitude) {
  const double ratio = static_cast<double>(t.c + 8) / static_cast<double>(9 * t.c + 8);
  const auto input = [&](size_t n, size_t y, size_t column, size_t c) {  // 0 in the padding
    y -= t.pad_top;  // beyond the picture where it would be negative
    column -= t.pad_left;
    return y < t.h && column < t.w
               ? fabs(static_cast<double>(x[((n * t.h + y) * t.w + column) * t.c + c]))
               : 0.0;
  };
  const auto filter = [&](size_t o, size_t i, size_t j, size_t c) {
    double sum = 0;
    for (size_t y = 0; y < 3; ++y)
      for (size_t column = 0; column < 3; ++column)
        sum += kFilterMatrix[i][y] * kFilterMatrix[j][column] *
               static_cast<double>(w[((o * 3 + y) * 3 + column) * t.c + c]);
    return fabs(sum);
  };
  const auto window = [&](size_t n, size_t y, size_t column, size_t i, size_t j, size_t c) {
    double sum = 0;
    for (size_t k = 0; k < 4; ++k)
      for (size_t l = 0; l < 4; ++l)
        if (kInputMagnitude[i][k] * kInputMagnitude[j][l] != 0)
          sum += input(n, y + k, column + l, c);
    return sum;
  };
  List<double> filters(16 * t.o * t.c), windows(16 * t.c);
  for (size_t p = 0; p < 16; ++p)
    for (size_t o = 0; o < t.o; ++o)
      for (size_t c = 0; c < t.c; ++c)
        filters[(p * t.o + o) * t.c + c] = filter(o, p / 4, p % 4, c);
  for (size_t n = 0; n < t.n; ++n)
    for (size_t y = 0; y < t.out_h; y += 2)
      for (size_t column = 0; column < t.out_w; column += 2) {
        for (size_t p = 0; p < 16; ++p)
          for (size_t c = 0; c < t.c; ++c)
            windows[p * t.c + c] = window(n, y, column, p / 4, p % 4, c);
        for (size_t o = 0; o < t.o; ++o) {
          double sums[16] = {};
          for (size_t p = 0; p < 16; ++p)
            for (size_t c = 0; c < t.c; ++c)
              sums[p] += filters[(p * t.o + o) * t.c + c] * windows[p * t.c + c];
          for (size_t i = 0; i < 2 && y + i < t.out_h; ++i)
            for (size_t j = 0; j < 2 && column + j < t.out_w; ++j) {
              double total = b != nullptr ? fabs(static_cast<double>(b[o])) : 0.0;
              for (size_t p = 0; p < 16; ++p)
                total += kOutputMagnitude[i][p / 4] * kOutputMagnitude[j][p % 4] * sums[p];
              double& at = magnitude[((n * t.out_h + y + i) * t.out_w + column + j) * t.o + o];
              at = fmax(at, total * ratio);
            }
        }
      }
}

}  // namespace ptq_test

#endif  // PTQ_TEST_SUPPORT_WINOGRAD_H_
