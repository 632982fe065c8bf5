// Operators of two tensors with numpy broadcasting that have no kernels of their own: a loop per
// type.
#ifndef PTQ_OPS_PLAIN_ROWS_H_
#define PTQ_OPS_PLAIN_ROWS_H_

#include "ops/op.h"

namespace ptq {

// y[i] of a[i * a_step] and b[i * b_step] for i < count; false where the operands have no result.
using PlainRow = bool (*)(const void* a, size_t a_step, const void* b, size_t b_step, void* y,
                          size_t count);

// A row whose elements kFunction makes: (a, b, where to put y's) -> whether there is a result.
template <typename T, typename Y, bool (*kFunction)(T, T, Y*)>
bool PlainRowOf(const void* a, size_t a_step, const void* b, size_t b_step, void* y, size_t count) {
  const T *left = static_cast<const T*>(a), *right = static_cast<const T*>(b);
  bool good = true;
  for (size_t i = 0; i < count; ++i)
    good = kFunction(left[i * a_step], right[i * b_step], static_cast<Y*>(y) + i) && good;
  return good;
}

ptq_status PreparePlainRows(PlainRow row, const char* kernel, PreparedOp* op);

}  // namespace ptq

#endif  // PTQ_OPS_PLAIN_ROWS_H_
