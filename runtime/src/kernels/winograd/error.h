// Whether a filter keeps its digits in Winograd's transforms, which is asked of the weights at
// load.
#ifndef PTQ_KERNELS_WINOGRAD_ERROR_H_
#define PTQ_KERNELS_WINOGRAD_ERROR_H_

#include <math.h>
#include <stddef.h>

namespace ptq {

// The bound of Winograd's way may be so many times that of a direct sum, and a weight so many times
// the mean of its output's before it counts as an outlier.
constexpr double kWinogradMostError = 2, kWinogradOutlier = 4;

// The sum of the magnitudes of `x` that `keep` says true of, in independent parts, as all weights
// pass here when a file is loaded.
template <typename Keep>
inline double SumOfMagnitudes(const float* x, size_t count, Keep keep) {
  constexpr size_t kParts = 8;
  double parts[kParts] = {}, sum = 0;
  const auto add = [&](float value, double* to) {
    const double size = fabs(static_cast<double>(value));
    *to += keep(size) ? size : 0;
  };
  size_t i = 0;
  for (; i + kParts <= count; i += kParts) {
    for (size_t j = 0; j < kParts; ++j) add(x[i + j], &parts[j]);
  }
  for (; i < count; ++i) add(x[i], &sum);
  for (const double part : parts) sum += part;
  return sum;
}

// docs/numerics.md, "Which way is taken": filters [outputs][3][3][channels].
inline bool WinogradKeepsDigits(const float* filters, size_t outputs, size_t channels) {
  constexpr double kFactors[2][3] = {{2, 1, 1}, {1, 1, 2}};  // |A^T| |G|, by pixel and tap
  const double depth = static_cast<double>(channels);
  for (size_t o = 0; o < outputs; ++o, filters += 9 * channels) {
    double taps[9] = {}, total = 0;
    for (size_t tap = 0; tap < 9; ++tap) {
      taps[tap] = SumOfMagnitudes(filters + tap * channels, channels, [](double) { return true; });
      total += taps[tap];
    }
    const double most = kWinogradOutlier * total / (9 * depth);
    // An infinite weight is no ordinary one.
    const double ordinary =
        SumOfMagnitudes(filters, 9 * channels, [most](double size) { return size < most; });
    const double allowed = kWinogradMostError * (9 * depth + 8) * ordinary / (depth + 8);
    for (size_t pixel = 0; pixel < 4; ++pixel) {  // of a tile
      double sum = 0;
      for (size_t tap = 0; tap < 9; ++tap)
        sum += kFactors[pixel / 2][tap / 3] * kFactors[pixel % 2][tap % 3] * taps[tap];
      // 4: rows and columns of |B^T| have the sum 2. False also where a weight is not a number.
      if (!(4 * sum <= allowed)) return false;
    }
  }
  return true;
}

}  // namespace ptq

#endif  // PTQ_KERNELS_WINOGRAD_ERROR_H_
