// Random test data, the same on every machine.
#ifndef PTQ_TEST_SUPPORT_RANDOM_H_
#define PTQ_TEST_SUPPORT_RANDOM_H_

#include "numerics/half.h"
#include "test/support/list.h"

namespace ptq_test {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {  // SplitMix64
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  int Int(int lo, int hi) {
    return lo + static_cast<int>(Next() % static_cast<uint64_t>(hi - lo + 1));
  }
  float Float(float lo, float hi) {
    return lo + (hi - lo) * static_cast<float>(Next() >> 40) / 16777216.0f;
  }

  // Int8 values; one in eight is an extreme, so that saturation is met.
  List<int8_t> Int8s(size_t count, int lo = -128, int hi = 127) {
    List<int8_t> values(count);
    for (size_t i = 0; i < count; ++i) {
      const int kind = Int(0, 15);
      values[i] = static_cast<int8_t>(kind == 0 ? lo : kind == 1 ? hi : Int(lo, hi));
    }
    return values;
  }
  List<float> Floats(size_t count, float lo = -2, float hi = 2) {
    List<float> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = Float(lo, hi);
    return values;
  }
  List<ptq::Half> Halves(size_t count, float lo = -2, float hi = 2) {
    List<ptq::Half> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = ptq::ToHalf(Float(lo, hi));
    return values;
  }
  // Floats or halves.
  template <typename T>
  List<T> Reals(size_t count, float lo = -2, float hi = 2) {
    if constexpr (sizeof(T) == 2) {
      return Halves(count, lo, hi);
    } else {
      return Floats(count, lo, hi);
    }
  }
  List<int32_t> Ints(size_t count, int lo, int hi) {
    List<int32_t> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = Int(lo, hi);
    return values;
  }

 private:
  uint64_t state_;
};

}  // namespace ptq_test

#endif  // PTQ_TEST_SUPPORT_RANDOM_H_
