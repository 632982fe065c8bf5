// The table of operators: format kind → implementation.
#ifndef PTQ_OPS_REGISTRY_H_
#define PTQ_OPS_REGISTRY_H_

#include "generated/registry.h"
#include "ops/op.h"

namespace ptq {

constexpr uint32_t kNoF16 = 0xFFFFFFFF;

struct OpImplementation {
  uint16_t kind;  // OpKindId
  ptq_status (*prepare)(uint32_t features, PreparedOp* op);
  // What the CPU needs for f16 tensors to be taken as they are; without it the operator runs in
  // float32 (ops/through_f32.cc). kNoF16: the operator has no f16 form.
  uint32_t f16_features;
};

// A row per kind, but for tailored runtimes; generated from the rows of
// ptq_core/flatfile/operators.
extern const OpImplementation kOpImplementations[];
extern const size_t kOpImplementationCount;

// Null for a kind that a tailored runtime was built without; else never null for a kind of kOpKinds
// (a test holds the two tables together).
const OpImplementation* FindOpImplementation(uint16_t kind);

// In the types of the tensors, or f16 through float32.
ptq_status PrepareOp(const OpImplementation& implementation, uint32_t features, PreparedOp* op);

// An operator whose tensors are all f16, on a CPU that does not compute in it.
ptq_status PrepareThroughF32(uint32_t features, PreparedOp* op);

}  // namespace ptq

#endif  // PTQ_OPS_REGISTRY_H_
