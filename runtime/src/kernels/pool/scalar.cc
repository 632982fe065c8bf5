// Portable pooling kernels: blocks of 16 channels, the window in the inner loop.
#include "base/math.h"
#include "kernels/pool/contract.h"

namespace ptq {
namespace {

constexpr size_t kBlock = 16;

// Calls block(c, count) for all channels; full blocks pass a constant count, which the compiler
// unrolls.
template <typename Block>
inline __attribute__((always_inline)) void ForChannelBlocks(size_t channels, Block block) {
  size_t c = 0;
  for (; c + kBlock <= channels; c += kBlock) block(c, kBlock);
  if (c < channels) block(c, channels - c);
}

template <typename T, typename Pixel>
inline __attribute__((always_inline)) void Maximum(const Pixel& p, size_t c, size_t count,
                                                   T* best) {
  for (size_t j = 0; j < count; ++j) best[j] = p.rows[0][c + j];
  for (size_t i = 1; i < p.row_count; ++i) {
    const T* x = p.rows[i] + c;
    for (size_t j = 0; j < count; ++j) best[j] = x[j] > best[j] ? x[j] : best[j];
  }
}

template <typename Sum, typename Pixel>
inline __attribute__((always_inline)) void Total(const Pixel& p, size_t c, size_t count, Sum bias,
                                                 Sum* sum) {
  for (size_t j = 0; j < count; ++j) sum[j] = bias;
  for (size_t i = 0; i < p.row_count; ++i) {
    const auto* x = p.rows[i] + c;
    for (size_t j = 0; j < count; ++j) sum[j] += x[j];
  }
}

}  // namespace

void max_pool_f32_1x16__scalar(const PoolF32Pixel& p) {
  ForChannelBlocks(p.channels, [&p](size_t c, size_t count) __attribute__((always_inline)) {
    float best[kBlock];
    Maximum(p, c, count, best);
    for (size_t j = 0; j < count; ++j) p.output[c + j] = Clamp(best[j], p.lo, p.hi);
  });
}

void average_pool_f32_1x16__scalar(const PoolF32Pixel& p) {
  ForChannelBlocks(p.channels, [&p](size_t c, size_t count) __attribute__((always_inline)) {
    float sum[kBlock];
    Total(p, c, count, 0.0f, sum);
    for (size_t j = 0; j < count; ++j) p.output[c + j] = Clamp(sum[j] / p.divisor, p.lo, p.hi);
  });
}

void max_pool_i8_1x16__scalar(const PoolI8Pixel& p) {
  const int8_t q_min = static_cast<int8_t>(p.q_min), q_max = static_cast<int8_t>(p.q_max);
  ForChannelBlocks(p.channels,
                   [&p, q_min, q_max](size_t c, size_t count) __attribute__((always_inline)) {
                     int8_t best[kBlock];
                     Maximum(p, c, count, best);
                     for (size_t j = 0; j < count; ++j)
                       p.output[c + j] = Clamp(best[j], q_min, q_max);
                   });
}

void average_pool_i8_1x16__scalar(const PoolI8Pixel& p) {
  ForChannelBlocks(p.channels, [&p](size_t c, size_t count) __attribute__((always_inline)) {
    int32_t sum[kBlock];
    Total(p, c, count, p.bias, sum);
    for (size_t j = 0; j < count; ++j) p.output[c + j] = Requantize(sum[j], p.multiplier, p.range);
  });
}

}  // namespace ptq
