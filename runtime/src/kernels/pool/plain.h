// Pooling kernels over the compiler's vectors. Included once per instruction set.
#ifndef PTQ_KERNELS_POOL_PLAIN_H_
#define PTQ_KERNELS_POOL_PLAIN_H_

#include <string.h>

#include "base/math.h"
#include "kernels/pool/contract.h"
#include "numerics/requantize_vector.h"
#include "numerics/sum_blocks.h"

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

#if defined(__AVX512BW__)
constexpr size_t kRegisterBytes = 64;
#elif defined(__AVX2__)
constexpr size_t kRegisterBytes = 32;
#else
constexpr size_t kRegisterBytes = 16;
#endif

template <typename T, size_t kLanes>
struct VectorType {
  typedef T Type __attribute__((vector_size(kLanes * sizeof(T))));
};
template <typename T, size_t kLanes>
using Vector = typename VectorType<T, kLanes>::Type;

template <typename V, typename T>
PTQ_INLINE V LoadVector(const T* x) {
  V value;
  memcpy(&value, x, sizeof value);
  return value;
}

template <typename V, typename T, typename Out>
PTQ_INLINE void StoreClamped(Out* y, V value, T lo, T hi) {
  const V least = V{} + lo, most = V{} + hi;
  value = value < least ? least : value;
  value = value > most ? most : value;
  memcpy(y, &value, sizeof value);
}

// A NaN in `best` stays, one in `x` does not count.
template <typename V>
PTQ_INLINE V Greater(V x, V best) {
#if defined(__aarch64__) && defined(__clang__)
  return __builtin_elementwise_max(x, best);  // the comparison would be two instructions
#else
  return x > best ? x : best;
#endif
}

// The largest value of each of kLanes channels from c on, clamped. Number: what T is in arithmetic.
template <typename T, typename Number = T>
struct MaximumReal {
  const PoolRealPixel<T>& p;

  template <size_t kLanes>
  PTQ_INLINE void Channels(size_t c) const {
    using V = Vector<Number, kLanes>;
    V best = LoadVector<V>(p.rows[0] + c);
    for (size_t i = 1; i < p.row_count; ++i) best = Greater(LoadVector<V>(p.rows[i] + c), best);
    StoreClamped(p.output + c, best, static_cast<Number>(p.lo), static_cast<Number>(p.hi));
  }
};

// Blocks of pixels are summed in float, the blocks in double.
template <typename T, typename Number = T>
struct AverageReal {
  const PoolRealPixel<T>& p;

  template <size_t kLanes>
  PTQ_INLINE void Channels(size_t c) const {
    using V = Vector<Number, kLanes>;
    using Sum = Vector<float, kLanes>;
    Sum sum = SumOf<kLanes>(c, 0, Min(kSumBlock, p.row_count));
    if (p.row_count > kSumBlock) {
      using Wide = Vector<double, kLanes>;
      Wide total = __builtin_convertvector(sum, Wide);
      for (size_t i = kSumBlock; i < p.row_count; i += kSumBlock) {
        const Sum block = SumOf<kLanes>(c, i, Min(i + kSumBlock, p.row_count));
        total += __builtin_convertvector(block, Wide);
      }
      sum = __builtin_convertvector(total, Sum);
    }
    sum /= p.divisor;
    StoreClamped(p.output + c, __builtin_convertvector(sum, V), static_cast<Number>(p.lo),
                 static_cast<Number>(p.hi));
  }

 private:
  // Of the pixels begin ... end - 1.
  template <size_t kLanes>
  PTQ_INLINE Vector<float, kLanes> SumOf(size_t c, size_t begin, size_t end) const {
    using V = Vector<Number, kLanes>;
    using Sum = Vector<float, kLanes>;
    Sum sum = {};
    for (size_t i = begin; i < end; ++i)
      sum += __builtin_convertvector(LoadVector<V>(p.rows[i] + c), Sum);
    return sum;
  }
};

struct MaximumI8 {
  const PoolI8Pixel& p;

  template <size_t kLanes>
  PTQ_INLINE void Channels(size_t c) const {
    using V = Vector<int8_t, kLanes>;
    V best = LoadVector<V>(p.rows[0] + c);
    for (size_t i = 1; i < p.row_count; ++i) {
      const V x = LoadVector<V>(p.rows[i] + c);
      best = x > best ? x : best;
    }
    StoreClamped(p.output + c, best, static_cast<int8_t>(p.q_min), static_cast<int8_t>(p.q_max));
  }
};

struct AverageI8 {
  const PoolI8Pixel& p;

  template <size_t kLanes>
  PTQ_INLINE void Channels(size_t c) const {
    using Int8 = Vector<int8_t, kLanes>;
    using Int16 = Vector<int16_t, kLanes>;
    using Int32 = Vector<int32_t, kLanes>;
    constexpr size_t kRowsInInt16 = 255;  // 255 * -128 is above -32768
    Int32 sum = Int32{} + p.bias;
    for (size_t begin = 0; begin < p.row_count; begin += kRowsInInt16) {
      const size_t end = Min(begin + kRowsInInt16, p.row_count);
      Int16 part = {};
      for (size_t i = begin; i < end; ++i)
        part += __builtin_convertvector(LoadVector<Int8>(p.rows[i] + c), Int16);
      sum += __builtin_convertvector(part, Int32);
    }
    const Int8 q = RequantizeVector<Int8, Vector<float, kLanes>, Int32>(sum, p.multiplier, p.range);
    memcpy(p.output + c, &q, sizeof q);
  }
};

// pool.Channels for all channels: kWide at a time, then a register of T at a time, of which the
// last one computes some channels again; what is less than a register in quarters and singly.
template <typename T, size_t kWide, typename Pool>
PTQ_INLINE void ForChannels(const Pool& pool, size_t channels) {
  constexpr size_t kRegister = kRegisterBytes / sizeof(T), kQuarter = kRegister / 4;
  size_t c = 0;
  for (; c + kWide <= channels; c += kWide) pool.template Channels<kWide>(c);
  for (; c + kRegister <= channels; c += kRegister) pool.template Channels<kRegister>(c);
  if (c == channels) return;
  if (channels >= kRegister) return pool.template Channels<kRegister>(channels - kRegister);
  for (; c + kQuarter <= channels; c += kQuarter) pool.template Channels<kQuarter>(c);
  for (; c < channels; ++c) pool.template Channels<1>(c);
}

// The widths are four registers of accumulators.
PTQ_INLINE void MaxPoolF32(const PoolF32Pixel& p) {
  ForChannels<float, kRegisterBytes>(MaximumReal<float>{p}, p.channels);
}
PTQ_INLINE void AveragePoolF32(const PoolF32Pixel& p) {
  ForChannels<float, kRegisterBytes>(AverageReal<float>{p}, p.channels);
}
PTQ_INLINE void MaxPoolI8(const PoolI8Pixel& p) {
  ForChannels<int8_t, 4 * kRegisterBytes>(MaximumI8{p}, p.channels);
}
PTQ_INLINE void AveragePoolI8(const PoolI8Pixel& p) {
  ForChannels<int8_t, 2 * kRegisterBytes>(AverageI8{p}, p.channels);
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_POOL_PLAIN_H_
