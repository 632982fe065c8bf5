// Timing kernels: the fastest of many runs, printed with what it means per nanosecond.
#ifndef PTQ_TEST_SUPPORT_BENCH_H_
#define PTQ_TEST_SUPPORT_BENCH_H_

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/cpu_features.h"
#include "test/support/list.h"

namespace ptq_test {

// Only kernels whose name contains this are timed.
inline const char* name_filter = "";

inline double Nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// The fastest of many runs, in nanoseconds. Runs are timed in batches that last long enough for the
// clock.
template <typename Run>
double Fastest(Run run) {
  constexpr double kBatch = 2e4, kTotal = 4e7;
  size_t repeats = 1;
  double fastest = INFINITY;
  for (const double start = Nanoseconds(); Nanoseconds() - start < kTotal;) {
    const double begin = Nanoseconds();
    for (size_t i = 0; i < repeats; ++i) run();
    const double elapsed = Nanoseconds() - begin;
    if (elapsed < kBatch) {
      repeats *= 2;
    } else {
      fastest = fmin(fastest, elapsed / static_cast<double>(repeats));
    }
  }
  return fastest;
}

// Times run() of `kernel` unless this CPU lacks it or it is not asked for.
template <typename Kernel, typename Run>
void Time(const Kernel& kernel, const char* size, size_t amount, const char* unit, Run run) {
  if ((kernel.requires_features & ~ptq::DetectCpuFeatures()) != 0) return;
  if (strstr(kernel.name, name_filter) == nullptr) return;
  const double ns = Fastest(run);
  printf("%-36s %-18s %11.1f ns %9.2f %s/ns\n", kernel.name, size, ns,
         static_cast<double>(amount) / ns, unit);
}

// Elements as the runtime's tensors lie: on a cache line.
template <typename T>
class Data {
 public:
  explicit Data(size_t size) {
    if (array_.Allocate(size) != PTQ_OK) abort();
  }
  explicit Data(const List<T>& values) : Data(values.size()) {
    memcpy(array_.data(), values.data(), values.size() * sizeof(T));
  }
  T* data() { return array_.data(); }
  const T* data() const { return array_.data(); }

 private:
  ptq::Array<T> array_;
};

}  // namespace ptq_test

#endif  // PTQ_TEST_SUPPORT_BENCH_H_
