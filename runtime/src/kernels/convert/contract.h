// Conversions between float and int8, float and half, and functions of one int8 as 256-entry
// tables. `count` elements, contiguous.
#ifndef PTQ_KERNELS_CONVERT_CONTRACT_H_
#define PTQ_KERNELS_CONVERT_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

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

extern const QuantizeKernel kQuantizeKernels[];
extern const size_t kQuantizeKernelCount;
extern const DequantizeKernel kDequantizeKernels[];
extern const size_t kDequantizeKernelCount;
extern const LookupKernel kLookupKernels[];
extern const size_t kLookupKernelCount;
extern const ToHalfKernel kToHalfKernels[];
extern const size_t kToHalfKernelCount;
extern const ToFloatKernel kToFloatKernels[];
extern const size_t kToFloatKernelCount;

// One file per instruction set.
void quantize_f32_x1__scalar(const float* x, int8_t* y, size_t count, float scale,
                             const OutputRange& range);
void dequantize_i8_x1__scalar(const int8_t* x, float* y, size_t count, float scale,
                              int32_t zero_point);
void lookup_i8_x1__scalar(const int8_t* x, int8_t* y, size_t count, const int8_t* table);
void to_half_f32_x1__scalar(const float* x, Half* y, size_t count);
void to_float_f16_x1__scalar(const Half* x, float* y, size_t count);
void to_half_f32_x8__neon(const float* x, Half* y, size_t count);
void to_float_f16_x8__neon(const Half* x, float* y, size_t count);
void to_half_f32_x8__f16c(const float* x, Half* y, size_t count);
void to_float_f16_x8__f16c(const Half* x, float* y, size_t count);
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
