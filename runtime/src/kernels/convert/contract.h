// Conversions between float and int8, float and half, and functions of one int8 as 256-entry
// tables. `count` elements, contiguous.
#ifndef PTQ_KERNELS_CONVERT_CONTRACT_H_
#define PTQ_KERNELS_CONVERT_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_list.h"
#include "numerics/half.h"
#include "numerics/requantize.h"

namespace ptq {

struct QuantizeKernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const float* x, int8_t* y, size_t count, float scale, const OutputRange& range);
};

struct DequantizeKernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const int8_t* x, float* y, size_t count, float scale, int32_t zero_point);
};

struct LookupKernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const int8_t* x, int8_t* y, size_t count, const int8_t* table);  // table[x + 128]
};

struct ToHalfKernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const float* x, Half* y, size_t count);
};

struct ToFloatKernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const Half* x, float* y, size_t count);
};

#define PTQ_ROWS "kernels/convert/kernels.inc"
#include "kernels/declare.inc"

}  // namespace ptq

#endif  // PTQ_KERNELS_CONVERT_CONTRACT_H_
