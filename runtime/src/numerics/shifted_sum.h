// Sums that need no conversion to float: an int32 accumulator that starts at kSumShift, the bits of
// 1.5 * 2^23, holds the float 1.5 * 2^23 + sum once the sum lies in -2^22 ... 2^22. Subtracting
// 1.5 * 2^23 is exact and leaves float(sum). Arm cores convert vectors of integers at half or a
// quarter of the rate at which they subtract floats.
#ifndef PTQ_NUMERICS_SHIFTED_SUM_H_
#define PTQ_NUMERICS_SHIFTED_SUM_H_

#include <stdint.h>

#include "base/math.h"

namespace ptq {

constexpr int32_t kSumShift = 0x4B400000;
constexpr float kSumShiftValue = 12582912.0f;  // the float with these bits

// Whether a channel whose sums lie in low ... high may be requantized from shifted sums: exact as
// above, the results within int16, and ties to even still even behind the zero point, which is
// added before rounding. (Zero points of symmetric tensors are 0, those behind Relu -128.)
PTQ_INLINE bool FitsShiftedSum(int64_t low, int64_t high, float multiplier, int32_t zero_point) {
  const int64_t largest = Max(-low, high);
  return largest <= 1 << 22 && static_cast<float>(largest) * multiplier <= 32600.0f &&
         zero_point % 2 == 0;
}

PTQ_INLINE int32_t ShiftSum(int32_t bias) {
  return static_cast<int32_t>(static_cast<uint32_t>(bias) + static_cast<uint32_t>(kSumShift));
}

}  // namespace ptq

#endif  // PTQ_NUMERICS_SHIFTED_SUM_H_
