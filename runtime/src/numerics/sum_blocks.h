// Float sums of many values: blocks are added up in float, their sums in double, so that the error
// does not grow with the number of values (docs/numerics.md).
#ifndef PTQ_NUMERICS_SUM_BLOCKS_H_
#define PTQ_NUMERICS_SUM_BLOCKS_H_

#include <stddef.h>

namespace ptq {

// Values that are added one after another.
constexpr size_t kSumBlock = 64;

// Roundings on the way of a value into any sum, at most. It is 80 where a block is a row of vectors
// whose lanes and rest are added at its end: 64 + 1 + 8 + 7 with the 8 lanes of the portable
// kernels, 16 + 1 + 32 + 31 with 32.
constexpr size_t kSumRoundings = 80;

// Products that a float convolution or fully connected layer adds up one after another.
constexpr size_t kProductBlock = 2048;

// Roundings on the way of one of k products into their sum, at most. A block is whole taps of a
// window or a part of one, so that two neighbours have more than kProductBlock products together.
constexpr size_t ProductRoundings(size_t k) {
  return k <= kProductBlock ? k : kProductBlock + 2 * ((k + kProductBlock - 1) / kProductBlock);
}

}  // namespace ptq

#endif  // PTQ_NUMERICS_SUM_BLOCKS_H_
