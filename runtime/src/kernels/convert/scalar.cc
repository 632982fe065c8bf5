// Portable conversion kernels.
#include "kernels/convert/plain.h"

namespace ptq {

void quantize_f32_x1__scalar(const float* x, int8_t* y, size_t count, float scale,
                             const OutputRange& range) {
  const OutputRange r = range;  // a copy: stores to y cannot alias it
  // A division, not a multiplication by 1 / scale: the contract rounds x / scale once.
  for (size_t i = 0; i < count; ++i) y[i] = QuantizeToRange(x[i] / scale, r);
}

void dequantize_i8_x1__scalar(const int8_t* x, float* y, size_t count, float scale,
                              int32_t zero_point) {
  Dequantize(x, y, count, scale, zero_point);
}

void lookup_i8_x1__scalar(const int8_t* x, int8_t* y, size_t count, const int8_t* table) {
  for (size_t i = 0; i < count; ++i) y[i] = table[x[i] + 128];
}

void to_half_f32_x1__scalar(const float* x, Half* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = ToHalf(x[i]);
}

void to_float_f16_x1__scalar(const Half* x, float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = ToFloat(x[i]);
}

}  // namespace ptq
