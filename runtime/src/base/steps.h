// Elementary steps of a run, from shapes alone: sums and products that stay at the largest number
// once they have reached it.
#ifndef PTQ_BASE_STEPS_H_
#define PTQ_BASE_STEPS_H_

#include "base/math.h"

namespace ptq {

struct Steps {
  uint64_t value;

  Steps operator*(uint64_t other) const {
    uint64_t product;
    return {Multiply(value, other, &product) ? product : UINT64_MAX};
  }
  Steps operator+(Steps other) const {
    uint64_t sum;
    return {__builtin_add_overflow(value, other.value, &sum) ? UINT64_MAX : sum};
  }
};

}  // namespace ptq

#endif  // PTQ_BASE_STEPS_H_
