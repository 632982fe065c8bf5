// Conversions between float and int8, and functions of one int8 as 256-entry tables. `count`
// elements, contiguous.
#ifndef PTQ_KERNELS_CONVERT_CONTRACT_H_
#define PTQ_KERNELS_CONVERT_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

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

extern const QuantizeKernel kQuantizeKernels[];
extern const size_t kQuantizeKernelCount;
extern const DequantizeKernel kDequantizeKernels[];
extern const size_t kDequantizeKernelCount;
extern const LookupKernel kLookupKernels[];
extern const size_t kLookupKernelCount;

// One file per instruction set.
void quantize_f32_x1__scalar(const float* x, int8_t* y, size_t count, float scale,
                             const OutputRange& range);
void dequantize_i8_x1__scalar(const int8_t* x, float* y, size_t count, float scale,
                              int32_t zero_point);
void lookup_i8_x1__scalar(const int8_t* x, int8_t* y, size_t count, const int8_t* table);
void quantize_f32_x32__neon(const float* x, int8_t* y, size_t count, float scale,
                            const OutputRange& range);
void dequantize_i8_x16__neon(const int8_t* x, float* y, size_t count, float scale,
                             int32_t zero_point);
void lookup_i8_x16__neon(const int8_t* x, int8_t* y, size_t count, const int8_t* table);
void quantize_f32_x32__avx2(const float* x, int8_t* y, size_t count, float scale,
                            const OutputRange& range);
void dequantize_i8_x32__avx2(const int8_t* x, float* y, size_t count, float scale,
                             int32_t zero_point);
void lookup_i8_x32__avx2(const int8_t* x, int8_t* y, size_t count, const int8_t* table);
void quantize_f32_x64__avx512vnni(const float* x, int8_t* y, size_t count, float scale,
                                  const OutputRange& range);
void dequantize_i8_x64__avx512vnni(const int8_t* x, float* y, size_t count, float scale,
                                   int32_t zero_point);
void lookup_i8_x64__avx512vbmi(const int8_t* x, int8_t* y, size_t count, const int8_t* table);

}  // namespace ptq

#endif  // PTQ_KERNELS_CONVERT_CONTRACT_H_
