// Portable arg_max kernels.
#include "kernels/arg_max/plain.h"

namespace ptq {

void arg_max_columns_f32_x16__scalar(const ArgMaxColumns<float>& columns) { Columns(columns); }

void arg_max_columns_i8_x16__scalar(const ArgMaxColumns<int8_t>& columns) { Columns(columns); }

int32_t arg_max_row_f32_x16__scalar(const float* x, size_t count, bool select_last) {
  return Row(x, count, select_last);
}

int32_t arg_max_row_i8_x16__scalar(const int8_t* x, size_t count, bool select_last) {
  return Row(x, count, select_last);
}

}  // namespace ptq
