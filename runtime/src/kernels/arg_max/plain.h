// arg_max in plain loops that compilers vectorise. Included once per instruction set.
#ifndef PTQ_KERNELS_ARG_MAX_PLAIN_H_
#define PTQ_KERNELS_ARG_MAX_PLAIN_H_

#include "base/math.h"
#include "kernels/arg_max/contract.h"

namespace ptq {
namespace {

constexpr size_t kBlock = 16;
constexpr size_t kLongRow = 100;

// `count` is a constant at the call for full blocks.
template <typename T>
PTQ_INLINE void Block(const ArgMaxColumns<T>& p, size_t c, size_t count) {
  T best[kBlock];
  int32_t index[kBlock];
  for (size_t j = 0; j < count; ++j) {
    best[j] = p.x[c + j];
    index[j] = 0;
  }
  const T* x = p.x + c;
  for (size_t row = 1; row < p.rows; ++row) {
    x += p.row_stride;
    const int32_t here = static_cast<int32_t>(row);
    for (size_t j = 0; j < count; ++j) {
      const bool better = p.select_last ? x[j] >= best[j] : x[j] > best[j];
      best[j] = better ? x[j] : best[j];
      index[j] = better ? here : index[j];
    }
  }
  for (size_t j = 0; j < count; ++j) p.y[c + j] = index[j];
}

template <typename T>
PTQ_INLINE void Columns(const ArgMaxColumns<T>& p) {
  size_t c = 0;
  for (; c + kBlock <= p.columns; c += kBlock) Block(p, c, kBlock);
  if (c < p.columns) Block(p, c, p.columns - c);
}

// A long row: the maximum first, in a loop without branches, then the place where it stands.
template <typename T>
PTQ_INLINE int32_t LongRow(const T* x, size_t count, bool select_last) {
  T lanes[kBlock];
  for (size_t j = 0; j < kBlock; ++j) lanes[j] = x[0];
  size_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    for (size_t j = 0; j < kBlock; ++j) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  }
  T best = x[0];
  for (size_t j = 0; j < kBlock; ++j) best = Max(best, lanes[j]);
  for (; i < count; ++i) best = Max(best, x[i]);
  size_t at = select_last ? count - 1 : 0;
  if (select_last) {
    while (at > 0 && x[at] != best) --at;
  } else {
    while (at + 1 < count && x[at] != best) ++at;
  }
  return static_cast<int32_t>(at);
}

// kTogether short rows side by side: each waits for its own comparisons only.
template <size_t kTogether, typename T>
PTQ_INLINE void ShortRows(const T* x, size_t count, int32_t* y, bool select_last) {
  T best[kTogether];
  int32_t index[kTogether] = {};
  for (size_t r = 0; r < kTogether; ++r) best[r] = x[r * count];
  for (size_t i = 1; i < count; ++i) {
    for (size_t r = 0; r < kTogether; ++r) {
      const T value = x[r * count + i];
      const bool better = select_last ? value >= best[r] : value > best[r];
      best[r] = better ? value : best[r];
      index[r] = better ? static_cast<int32_t>(i) : index[r];
    }
  }
  for (size_t r = 0; r < kTogether; ++r) y[r] = index[r];
}

template <typename T>
PTQ_INLINE void Rows(const ArgMaxRows<T>& p) {
  size_t row = 0;
  if (p.count < kLongRow) {
    for (; row + 4 <= p.rows; row += 4)
      ShortRows<4>(p.x + row * p.count, p.count, p.y + row, p.select_last);
  }
  for (; row < p.rows; ++row) p.y[row] = LongRow(p.x + row * p.count, p.count, p.select_last);
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_ARG_MAX_PLAIN_H_
