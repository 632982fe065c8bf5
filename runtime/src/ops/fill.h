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

// Calls f with the filler in the type of the elements.
template <typename F>
inline void WithFiller(DType dtype, float value, int32_t q_value, F f) {
  if (dtype == kF32) return f(value);
  switch (ElementSize(dtype)) {
    case 1:
      return f(static_cast<uint8_t>(q_value));
    case 4:
      return f(q_value);
    default:
      return f(int64_t{q_value});
  }
}

inline ptq_status CheckFiller(DType dtype, float value, int32_t q_value) {
  const int32_t least = dtype == kI8 ? -128 : dtype == kU8 || dtype == kBool ? 0 : INT32_MIN;
  const int32_t most = dtype == kI8 ? 127 : dtype == kU8 ? 255 : dtype == kBool ? 1 : INT32_MAX;
  if (q_value < least || q_value > most) {
    return Fail(PTQ_BAD_FILE, "q_value: %" PRId32 " is not in %" PRId32 " ... %" PRId32, q_value,
                least, most);
  }
  if (dtype == kF32 && isnan(value)) return Fail(PTQ_BAD_FILE, "value: NaN");
  return PTQ_OK;
}

}  // namespace ptq

#endif  // PTQ_OPS_FILL_H_
