// Elementwise kernels on rows: y[i] = f(a[i], b[i]). A broadcast operand has step 0, else 1.
#ifndef PTQ_KERNELS_ELEMENTWISE_CONTRACT_H_
#define PTQ_KERNELS_ELEMENTWISE_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "numerics/requantize.h"

namespace ptq {

struct BinaryF32Row {
  const float *a, *b;
  size_t a_step, b_step;  // 0 or 1
  float* y;
  size_t count;
  float lo, hi;
};

struct AddI8Row {
  const int8_t *a, *b;
  size_t a_step, b_step;
  int8_t* y;
  size_t count;
  int32_t a_zero_point, b_zero_point;
  float a_multiplier, b_multiplier;  // s_a / s_out, s_b / s_out
  OutputRange range;
};

struct BinaryF32Kernel {
  const char* name;
  uint32_t requires_features;
  uint16_t op;  // OpKindId: kAdd, kSub, kMul or kDiv
  void (*run)(const BinaryF32Row&);
};

struct AddI8Kernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const AddI8Row&);
};

struct ClampF32Kernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const float* x, float* y, size_t count, float lo, float hi);
};

// For each op the best kernel first, a scalar one last.
extern const BinaryF32Kernel kBinaryF32Kernels[];
extern const size_t kBinaryF32KernelCount;
extern const AddI8Kernel kAddI8Kernels[];
extern const size_t kAddI8KernelCount;
extern const ClampF32Kernel kClampF32Kernels[];
extern const size_t kClampF32KernelCount;

const BinaryF32Kernel* SelectBinaryF32Kernel(uint16_t op, uint32_t features);

void add_f32_x1__scalar(const BinaryF32Row& row);
void sub_f32_x1__scalar(const BinaryF32Row& row);
void mul_f32_x1__scalar(const BinaryF32Row& row);
void div_f32_x1__scalar(const BinaryF32Row& row);
void add_i8_x1__scalar(const AddI8Row& row);
void clamp_f32_x1__scalar(const float* x, float* y, size_t count, float lo, float hi);

}  // namespace ptq

#endif  // PTQ_KERNELS_ELEMENTWISE_CONTRACT_H_
