// Operators that put elements in order.
#ifndef PTQ_OPS_ORDERED_H_
#define PTQ_OPS_ORDERED_H_

#include <stdint.h>

#include "format/layout.h"

namespace ptq {

// What `of` gives for a value of the C++ type of `dtype`: f32, i8, i32, i64 or u8, as the rows say.
template <typename Of>
auto ForOrdered(uint8_t dtype, Of of) {
  return dtype == kF32   ? of(float{})
         : dtype == kI8  ? of(int8_t{})
         : dtype == kI32 ? of(int32_t{})
         : dtype == kI64 ? of(int64_t{})
                         : of(uint8_t{});
}

}  // namespace ptq

#endif  // PTQ_OPS_ORDERED_H_
