// Preparing by the table of operators.
#include "ops/registry.h"

#include "base/budget.h"
#include "ops/rules.h"

namespace ptq {
namespace {

bool OnlyF16(const PreparedOp& op) {
  for (uint32_t i = 0; i < op.op->input_count; ++i) {
    const Tensor* x = op.Input(i);
    if (x != nullptr && x->dtype != kF16) return false;
  }
  return op.Output().dtype == kF16;
}

// Other CPUs widen the constants: what a file may ask for is the same on all of them.
ptq_status CountWidened(const PreparedOp& op) {
  for (uint32_t i = 0; i < op.op->input_count; ++i) {
    const Tensor* x = op.Input(i);
    if (x != nullptr && x->storage == kConstant && !Budget::Take(x->elements * sizeof(float)))
      return OutOfMemory();
  }
  return PTQ_OK;
}

}  // namespace

const OpImplementation* FindOpImplementation(uint16_t kind) {
  for (size_t i = 0; i < kOpImplementationCount; ++i) {
    if (kOpImplementations[i].kind == kind) return &kOpImplementations[i];
  }
  return nullptr;
}

ptq_status PrepareOp(const OpImplementation& implementation, uint32_t features, PreparedOp* op) {
  PTQ_RETURN_IF_ERROR(CheckRules(*op));
  const uint32_t needed = implementation.f16_features;
  if (needed == kCpuScalar || needed == kNoF16 || !OnlyF16(*op))
    return implementation.prepare(features, op);
  if ((needed & ~features) != 0) return PrepareThroughF32(features, op);
  if (!op->op->kind->weighted) PTQ_RETURN_IF_ERROR(CountWidened(*op));
  return implementation.prepare(features, op);
}

}  // namespace ptq
