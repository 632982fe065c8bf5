// Reductions over vectors of floats, and over loops of int8 that compilers vectorise. Included once
// per instruction set.
#ifndef PTQ_KERNELS_REDUCE_PLAIN_H_
#define PTQ_KERNELS_REDUCE_PLAIN_H_

#include "kernels/reduce/contract.h"
#include "kernels/vector.h"

namespace ptq {
namespace {

constexpr size_t kI8Lanes = 32;
constexpr size_t kShortSums = 255;  // int8 whose sum fits in int16: 255 * 128 <= 32767

// `V`: a vector of floats, or float.
struct Add {
  template <typename V>
  PTQ_INLINE V operator()(V sum, V x) const {
    return sum + x;
  }
};
struct AddSquare {
  template <typename V>
  PTQ_INLINE V operator()(V sum, V x) const {
    return sum + x * x;
  }
};
struct Larger {
  template <typename V>
  PTQ_INLINE V operator()(V sum, V x) const {
    return x > sum ? x : sum;
  }
};
struct Smaller {
  template <typename V>
  PTQ_INLINE V operator()(V sum, V x) const {
    return x < sum ? x : sum;
  }
};
struct Times {
  template <typename V>
  PTQ_INLINE V operator()(V sum, V x) const {
    return sum * x;
  }
};

// Columns from `c` on as long as there are whole `V`s; returns the first that is left.
template <typename V, typename F>
PTQ_INLINE size_t ColumnsOf(const ReduceColumnsF32& p, size_t c, F f) {
  constexpr size_t kWidth = sizeof(V) / sizeof(float);
  for (; c + kWidth <= p.columns; c += kWidth) {
    V sum = Load<V>(p.sums + c);
    for (size_t row = 0; row < p.rows; ++row) sum = f(sum, Load<V>(p.x + row * p.row_stride + c));
    Store(p.sums + c, sum);
  }
  return c;
}

template <typename F>
PTQ_INLINE void ColumnsF32With(const ReduceColumnsF32& p, F f) {
  ColumnsOf<float>(p, ColumnsOf<Vec4F>(p, ColumnsOf<VecF>(p, 0, f), f), f);
}

// Four independent vectors of partial results, so that additions need not wait for each other;
// `combine` joins them, which for sums of squares is a plain addition.
template <typename F, typename Combine>
PTQ_INLINE float RowF32With(const float* x, size_t count, float start, float neutral, F f,
                            Combine combine) {
  float total = start;
  size_t i = 0;
  if (count >= kLanes) {
    VecF sums[2] = {Splat(neutral), Splat(neutral)};
    for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
      sums[0] = f(sums[0], Load(x + i));
      sums[1] = f(sums[1], Load(x + i + kLanes));
    }
    for (; i + kLanes <= count; i += kLanes) sums[0] = f(sums[0], Load(x + i));
    const VecF sum = combine(sums[0], sums[1]);
    for (size_t lane = 0; lane < kLanes; ++lane) total = combine(total, sum[lane]);
  }
  for (; i < count; ++i) total = f(total, x[i]);
  return total;
}

PTQ_INLINE void ColumnsF32(const ReduceColumnsF32& p) {
  switch (p.reduction) {
    case Reduction::kSum:
      return ColumnsF32With(p, Add());
    case Reduction::kSumOfSquares:
      return ColumnsF32With(p, AddSquare());
    case Reduction::kMax:
      return ColumnsF32With(p, Larger());
    case Reduction::kMin:
      return ColumnsF32With(p, Smaller());
    case Reduction::kProduct:
      return ColumnsF32With(p, Times());
  }
}

PTQ_INLINE float RowF32(Reduction reduction, const float* x, size_t count, float start) {
  switch (reduction) {
    case Reduction::kSum:
      return RowF32With(x, count, start, 0.0f, Add(), Add());
    case Reduction::kSumOfSquares:
      return RowF32With(x, count, start, 0.0f, AddSquare(), Add());
    case Reduction::kMax:
      return RowF32With(x, count, start, start, Larger(), Larger());
    case Reduction::kMin:
      return RowF32With(x, count, start, start, Smaller(), Smaller());
    case Reduction::kProduct:
      return RowF32With(x, count, start, 1.0f, Times(), Times());
  }
  return start;
}

// `count` columns, a constant at the call for full blocks; sums of some rows fit in int16.
PTQ_INLINE void SumBlockI8(const int8_t* x, size_t stride, size_t rows, size_t count,
                           int32_t* sums) {
  for (size_t begin = 0; begin < rows; begin += kShortSums) {
    const size_t end = Min(begin + kShortSums, rows);
    int16_t block[kI8Lanes] = {};
    for (size_t row = begin; row < end; ++row) {
      for (size_t c = 0; c < count; ++c)
        block[c] = static_cast<int16_t>(block[c] + x[row * stride + c]);
    }
    for (size_t c = 0; c < count; ++c) sums[c] += block[c];
  }
}

template <typename F>
PTQ_INLINE void SelectBlockI8(const int8_t* x, size_t stride, size_t rows, size_t count,
                              int32_t* sums, F f) {
  int8_t block[kI8Lanes];
  for (size_t c = 0; c < count; ++c) block[c] = static_cast<int8_t>(sums[c]);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t c = 0; c < count; ++c) block[c] = f(block[c], x[row * stride + c]);
  }
  for (size_t c = 0; c < count; ++c) sums[c] = block[c];
}

PTQ_INLINE void BlockI8(const ReduceColumnsI8& p, size_t c, size_t count) {
  const int8_t* x = p.x + c;
  if (p.reduction == Reduction::kSum) {
    SumBlockI8(x, p.row_stride, p.rows, count, p.sums + c);
  } else if (p.reduction == Reduction::kMax) {
    SelectBlockI8(x, p.row_stride, p.rows, count, p.sums + c, Larger());
  } else {
    SelectBlockI8(x, p.row_stride, p.rows, count, p.sums + c, Smaller());
  }
}

PTQ_INLINE void ColumnsI8(const ReduceColumnsI8& p) {
  size_t c = 0;
  for (; c + kI8Lanes <= p.columns; c += kI8Lanes) BlockI8(p, c, kI8Lanes);
  if (c < p.columns) BlockI8(p, c, p.columns - c);
}

// The row as rows of kI8Lanes columns, then those columns and the rest.
PTQ_INLINE int32_t RowI8(Reduction reduction, const int8_t* x, size_t count, int32_t start) {
  int32_t sums[kI8Lanes], total = start;
  const bool sum = reduction == Reduction::kSum, maximum = reduction == Reduction::kMax;
  for (int32_t& lane : sums) lane = sum ? 0 : start;
  const size_t rows = count / kI8Lanes;
  BlockI8({reduction, x, kI8Lanes, rows, kI8Lanes, sums}, 0, kI8Lanes);
  const auto join = [&](int32_t value) {
    total = sum ? total + value : maximum ? Max(total, value) : Min(total, value);
  };
  for (int32_t lane : sums) join(lane);
  for (size_t i = rows * kI8Lanes; i < count; ++i) join(x[i]);
  return total;
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_REDUCE_PLAIN_H_
