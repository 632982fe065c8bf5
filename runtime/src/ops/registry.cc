// Preparing by the table of operators.
#include "ops/registry.h"

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

}  // namespace

const OpImplementation* FindOpImplementation(uint16_t kind) {
  for (size_t i = 0; i < kOpImplementationCount; ++i) {
    if (kOpImplementations[i].kind == kind) return &kOpImplementations[i];
  }
  return nullptr;
}

ptq_status PrepareOp(const OpImplementation& implementation, uint32_t features, PreparedOp* op) {
  PTQ_RETURN_IF_ERROR(CheckRules(*op));
  const bool native = (implementation.f16_features & ~features) == 0;
  if (native || implementation.f16_features == kNoF16 || !OnlyF16(*op))
    return implementation.prepare(features, op);
  return PrepareThroughF32(features, op);
}

}  // namespace ptq
