// Pooling kernels on halves. A maximum is taken in half precision, an average summed in float.
#include "kernels/pool/plain.h"

namespace ptq {
namespace {

struct MaximumF16 {
  const PoolF16Pixel& p;

  template <size_t kLanes>
  PTQ_INLINE void Channels(size_t c) const {
    using V = Vector<_Float16, kLanes>;
    V best = LoadVector<V>(p.rows[0] + c);
    for (size_t i = 1; i < p.row_count; ++i) best = Greater(LoadVector<V>(p.rows[i] + c), best);
    StoreClamped(p.output + c, best, static_cast<_Float16>(p.lo), static_cast<_Float16>(p.hi));
  }
};

struct AverageF16 {
  const PoolF16Pixel& p;

  template <size_t kLanes>
  PTQ_INLINE void Channels(size_t c) const {
    using V = Vector<_Float16, kLanes>;
    using Sum = Vector<float, kLanes>;
    Sum sum = {};
    for (size_t i = 0; i < p.row_count; ++i)
      sum += __builtin_convertvector(LoadVector<V>(p.rows[i] + c), Sum);
    sum /= p.divisor;
    StoreClamped(p.output + c, __builtin_convertvector(sum, V), static_cast<_Float16>(p.lo),
                 static_cast<_Float16>(p.hi));
  }
};

}  // namespace

void max_pool_f16_1x32__neon_fp16(const PoolF16Pixel& pixel) {
  ForChannels<Half, 2 * kRegisterBytes>(MaximumF16{pixel}, pixel.channels);
}

void average_pool_f16_1x16__neon_fp16(const PoolF16Pixel& pixel) {
  ForChannels<Half, kRegisterBytes>(AverageF16{pixel}, pixel.channels);
}

}  // namespace ptq
