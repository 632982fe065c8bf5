// Softmax over the vectors of kernels/vector.h. Included once per instruction set.
#ifndef PTQ_KERNELS_SOFTMAX_PLAIN_H_
#define PTQ_KERNELS_SOFTMAX_PLAIN_H_

#include "kernels/softmax/contract.h"
#include "kernels/unary/vector_math.h"
#include "numerics/sum_blocks.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

// kLanes elements from x on, `stride` apart; -infinity, which adds nothing, after `count` of them.
PTQ_INLINE VecF LoadStrided(const float* x, size_t count, size_t stride) {
  if (stride == 1 && count >= kLanes) return Load(x);
  float values[kLanes];
  Store(values, Splat(-kInf));
  for (size_t i = 0; i < Min(count, kLanes); ++i) values[i] = x[i * stride];
  return Load(values);
}

PTQ_INLINE void StoreStrided(float* y, VecF value, size_t count, size_t stride) {
  if (stride == 1 && count >= kLanes) return Store(y, value);
  float values[kLanes];
  Store(values, value);
  for (size_t i = 0; i < Min(count, kLanes); ++i) y[i * stride] = values[i];
}

// The maximum is subtracted first, so that exp cannot overflow.
PTQ_INLINE void Softmax(const float* x, float* y, size_t count, size_t stride) {
  VecF largest = Splat(x[0]);
  for (size_t i = 0; i < count; i += kLanes) {
    const VecF value = LoadStrided(x + i * stride, count - i, stride);
    largest = Select(value > largest, value, largest);
  }
  float maximum = largest[0];
  for (size_t i = 1; i < kLanes; ++i) maximum = Max(maximum, largest[i]);

  constexpr size_t kBlock = kSumBlock / 2 * kLanes;  // its lanes are added one by one, too
  double sum = 0;
  for (size_t begin = 0; begin < count; begin += kBlock) {
    VecF sums = {};
    for (size_t i = begin; i < Min(begin + kBlock, count); i += kLanes) {
      const VecF e = Exp(LoadStrided(x + i * stride, count - i, stride) - maximum);
      StoreStrided(y + i * stride, e, count - i, stride);
      sums += e;
    }
    float block = 0;
    for (size_t i = 0; i < kLanes; ++i) block += sums[i];
    sum += static_cast<double>(block);
  }

  const float scale = static_cast<float>(1.0 / sum);
  for (size_t i = 0; i < count; i += kLanes) {
    const VecF e = LoadStrided(y + i * stride, count - i, stride);
    StoreStrided(y + i * stride, e * scale, count - i, stride);
  }
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_SOFTMAX_PLAIN_H_
