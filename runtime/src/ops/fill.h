// What pad and dilate put between the elements of their input.
#ifndef PTQ_OPS_FILL_H_
#define PTQ_OPS_FILL_H_

#include <inttypes.h>
#include <math.h>

#include "ops/op.h"

namespace ptq {

template <typename T>
inline void Fill(T* y, size_t count, T value) {
  for (size_t i = 0; i < count; ++i) y[i] = value;
}

inline ptq_status CheckFiller(DType dtype, float value, int32_t q_value) {
  if (dtype == kI8 && (q_value < -128 || q_value > 127))
    return Fail(PTQ_BAD_FILE, "q_value: %" PRId32 " is not in -128 ... 127", q_value);
  if (dtype == kF32 && isnan(value)) return Fail(PTQ_BAD_FILE, "value: NaN");
  return PTQ_OK;
}

}  // namespace ptq

#endif  // PTQ_OPS_FILL_H_
