// Operators of two tensors that have no kernels of their own: integers, bools, and mod.
#ifndef PTQ_OPS_BINARY_PLAIN_H_
#define PTQ_OPS_BINARY_PLAIN_H_

#include "ops/op.h"

namespace ptq {

ptq_status PrepareBinaryPlain(PreparedOp* op);

}  // namespace ptq

#endif  // PTQ_OPS_BINARY_PLAIN_H_
