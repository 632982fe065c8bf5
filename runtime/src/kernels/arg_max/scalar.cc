// Portable arg_max kernels.
#include "kernels/arg_max/plain.h"

namespace ptq {

void arg_max_f32_x16__scalar(const ArgMaxColumns<float>& columns) { Columns(columns); }

void arg_max_i8_x16__scalar(const ArgMaxColumns<int8_t>& columns) { Columns(columns); }

void arg_max_f32_x16__scalar(const ArgMaxRows<float>& rows) { Rows(rows); }

void arg_max_i8_x16__scalar(const ArgMaxRows<int8_t>& rows) { Rows(rows); }

}  // namespace ptq
