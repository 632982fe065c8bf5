// Tests of tools/stop_rule.h against ranks from Le Boudec's table.
#include "tools/stop_rule.h"

#include <math.h>

#include "test/support/check.h"

namespace {

using ptq::MedianErrorPercent;

// The numbers 1 ... count, each once, in an order that is not sorted.
void FillScattered(double* samples, size_t count) {
  constexpr size_t kStep = 37;  // shares no factor with the counts below
  for (size_t i = 0; i < count; ++i) samples[i] = static_cast<double>(i * kStep % count + 1);
}

void TestRanks() {
  // The 95 % interval of the median runs from the `low`th to the `high`th smallest sample.
  const struct {
    size_t count;
    double median, low, high;
  } rows[] = {{8, 4.5, 1, 8}, {50, 25.5, 18, 33}, {100, 50.5, 40, 61}, {1000, 500.5, 469, 532}};
  double samples[1000], sorted[1000];
  for (const auto& row : rows) {
    ptq_test::Row("%zu samples", row.count);
    FillScattered(samples, row.count);
    const double expected = 100 * (row.high - row.low) / 2 / row.median;
    CHECK(fabs(MedianErrorPercent(samples, row.count, sorted) - expected) < 1e-9);
  }
}

void TestEdges() {
  ptq_test::Row("edges");
  double samples[20], sorted[20];
  for (size_t i = 0; i < 20; ++i) samples[i] = 3;
  CHECK(isinf(MedianErrorPercent(samples, 1, sorted)));
  CHECK(isinf(MedianErrorPercent(samples, 7, sorted)));
  CHECK(MedianErrorPercent(samples, 8, sorted) == 0);
  samples[4] = 1e9;  // one outlier moves neither end
  CHECK(MedianErrorPercent(samples, 20, sorted) == 0);
}

}  // namespace

int main() {
  TestRanks();
  TestEdges();
  return ptq_test::Finish("stop_rule_test");
}
