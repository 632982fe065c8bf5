// Reduce kernels for the toolchain's baseline; on Arm that is NEON.
#include "kernels/reduce/plain.h"

namespace ptq {

void reduce_f32_x8__scalar(const ReduceColumnsF32& columns) { ColumnsF32(columns); }

float reduce_f32_x8__scalar(Reduction reduction, const float* x, size_t count, float start) {
  return RowF32(reduction, x, count, start);
}

void reduce_i8_x32__scalar(const ReduceColumnsI8& columns) { ColumnsI8(columns); }

int32_t reduce_i8_x32__scalar(Reduction reduction, const int8_t* x, size_t count, int32_t start) {
  return RowI8(reduction, x, count, start);
}

}  // namespace ptq
