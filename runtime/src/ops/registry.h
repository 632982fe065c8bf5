// The table of operators: format kind → implementation.
#ifndef PTQ_OPS_REGISTRY_H_
#define PTQ_OPS_REGISTRY_H_

#include "ops/op.h"

namespace ptq {

constexpr uint32_t kNoF16 = 0xFFFFFFFF;

struct OpImplementation {
  uint16_t kind;  // OpKindId
  ptq_status (*prepare)(uint32_t features, PreparedOp* op);
  // What the CPU needs for f16 tensors to be taken as they are; without it the operator runs in
  // float32 (ops/through_f32.cc). kNoF16: the operator has no f16 form.
  uint32_t f16_features = kNoF16;
};

// Null for a kind that a tailored runtime was built without; else never null for a kind of kOpKinds
// (a test holds the two tables together).
const OpImplementation* FindOpImplementation(uint16_t kind);

// In the types of the tensors, or f16 through float32.
ptq_status PrepareOp(const OpImplementation& implementation, uint32_t features, PreparedOp* op);

// An operator whose tensors are all f16, on a CPU that does not compute in it.
ptq_status PrepareThroughF32(uint32_t features, PreparedOp* op);

// One per file of this folder.
ptq_status PrepareConv2d(uint32_t features, PreparedOp* op);
ptq_status PrepareConv2dAdd(uint32_t features, PreparedOp* op);
ptq_status PrepareFullyConnected(uint32_t features, PreparedOp* op);
ptq_status PrepareBinary(uint32_t features, PreparedOp* op);
ptq_status PreparePool2d(uint32_t features, PreparedOp* op);
ptq_status PrepareConcat(uint32_t features, PreparedOp* op);
ptq_status PrepareSoftmax(uint32_t features, PreparedOp* op);
ptq_status PrepareQuantize(uint32_t features, PreparedOp* op);
ptq_status PrepareDequantize(uint32_t features, PreparedOp* op);
ptq_status PrepareClamp(uint32_t features, PreparedOp* op);
ptq_status PrepareTranspose(uint32_t features, PreparedOp* op);
ptq_status PrepareReshape(uint32_t features, PreparedOp* op);
ptq_status PreparePad(uint32_t features, PreparedOp* op);
ptq_status PrepareUnary(uint32_t features, PreparedOp* op);
ptq_status PrepareLookup(uint32_t features, PreparedOp* op);
ptq_status PrepareResize(uint32_t features, PreparedOp* op);
ptq_status PrepareSlice(uint32_t features, PreparedOp* op);
ptq_status PrepareGather(uint32_t features, PreparedOp* op);
ptq_status PrepareReduce(uint32_t features, PreparedOp* op);
ptq_status PrepareDilate(uint32_t features, PreparedOp* op);
ptq_status PrepareArgMax(uint32_t features, PreparedOp* op);
ptq_status PrepareConvert(uint32_t features, PreparedOp* op);

}  // namespace ptq

#endif  // PTQ_OPS_REGISTRY_H_
