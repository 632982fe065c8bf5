// When a series of samples is long enough.
#include "tools/stop_rule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

namespace ptq {
namespace {

int CompareDoubles(const void* a, const void* b) {
  const double x = *static_cast<const double*>(a), y = *static_cast<const double*>(b);
  return (x > y) - (x < y);
}

}  // namespace

double MedianErrorPercent(const double* samples, size_t count, double* sorted) {
  // Ranks from 1, for a normal approximation of the binomial distribution; 0.98 is half of 1.96.
  const double n = static_cast<double>(count), reach = 0.98 * sqrt(n);
  const double low = floor(n / 2 - reach), high = ceil(n / 2 + 1 + reach);
  if (low < 1 || high > n) return INFINITY;
  memcpy(sorted, samples, count * sizeof(double));
  qsort(sorted, count, sizeof(double), CompareDoubles);
  const double median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
  const double width = sorted[static_cast<size_t>(high) - 1] - sorted[static_cast<size_t>(low) - 1];
  return 50 * width / median;
}

}  // namespace ptq
