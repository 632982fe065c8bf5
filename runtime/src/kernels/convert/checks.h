// What callers of conversion kernels promise (contract.h), as checks.
#ifndef PTQ_KERNELS_CONVERT_CHECKS_H_
#define PTQ_KERNELS_CONVERT_CHECKS_H_

#include "kernels/checked.h"
#include "kernels/convert/contract.h"

namespace ptq {

inline void CheckCall(const QuantizeKernel& kernel, const float* x, int8_t* y, size_t count,
                      float scale, const OutputRange& range) {
  PTQ_REQUIRE(IsValid(x, count));
  PTQ_REQUIRE(IsValid(y, count));
  PTQ_REQUIRE(scale > 0.0f);
  PTQ_REQUIRE(IsRange(range));
}

inline void CheckCall(const DequantizeKernel& kernel, const int8_t* x, float* y, size_t count,
                      float scale, int32_t zero_point) {
  PTQ_REQUIRE(IsValid(x, count));
  PTQ_REQUIRE(IsValid(y, count));
  PTQ_REQUIRE(scale > 0.0f);
  PTQ_REQUIRE(zero_point >= -128 && zero_point <= 127);
}

inline void CheckCall(const LookupKernel& kernel, const int8_t* x, int8_t* y, size_t count,
                      const int8_t* table) {
  PTQ_REQUIRE(IsValid(x, count));
  PTQ_REQUIRE(IsValid(y, count));
  PTQ_REQUIRE(IsValid(table, 256));
}

inline void CheckCall(const ToHalfKernel& kernel, const float* x, Half* y, size_t count) {
  PTQ_REQUIRE(IsValid(x, count));
  PTQ_REQUIRE(IsValid(y, count));
}

inline void CheckCall(const ToFloatKernel& kernel, const Half* x, float* y, size_t count) {
  PTQ_REQUIRE(IsValid(x, count));
  PTQ_REQUIRE(IsValid(y, count));
}

}  // namespace ptq

#endif  // PTQ_KERNELS_CONVERT_CHECKS_H_
