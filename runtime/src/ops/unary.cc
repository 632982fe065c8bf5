// unary: a float function of each element.
#include <inttypes.h>
#include <math.h>

#include "kernels/unary/contract.h"
#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 4096;

struct UnaryState {
  const UnaryF32Kernel* kernel;
  UnaryAttrs attrs;
};

void RunUnary(const PreparedOp& op, const RunContext& run) {
  const UnaryState& s = op.State<UnaryState>();
  const float* x = ReadData<float>(*op.Input(0), run);
  float* y = WriteData<float>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    s.kernel->run({static_cast<UnaryFunction>(s.attrs.function), x + begin, y + begin, end - begin,
                   s.attrs.alpha, s.attrs.beta, s.attrs.clamp.lo, s.attrs.clamp.hi});
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements), kGrainElements, body);
}

ptq_status CheckParameter(const char* name, float value, bool used) {
  if (isfinite(value) && (used || value == 0.0f)) return PTQ_OK;
  return Fail(PTQ_BAD_FILE, "%s: %g is not %s", name, static_cast<double>(value),
              used ? "finite" : "0, and the function has none");
}

ptq_status CheckUnary(const UnaryAttrs& attrs) {
  if (attrs.function >= kUnaryFunctionCount) {
    return Fail(PTQ_BAD_FILE, "function: %" PRIu32 " is not below %d", attrs.function,
                kUnaryFunctionCount);
  }
  const bool has_beta = attrs.function == kHardSigmoid;
  const bool has_alpha = has_beta || attrs.function == kLeakyRelu || attrs.function == kElu;
  PTQ_RETURN_IF_ERROR(CheckParameter("alpha", attrs.alpha, has_alpha));
  PTQ_RETURN_IF_ERROR(CheckParameter("beta", attrs.beta, has_beta));
  return CheckClamp(attrs.clamp);
}

}  // namespace

ptq_status PrepareUnary(uint32_t features, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  PTQ_RETURN_IF_ERROR(CheckDType("x", x, 1u << kF32));
  PTQ_RETURN_IF_ERROR(CheckDType("output", y, 1u << kF32));
  PTQ_RETURN_IF_ERROR(CheckSameShape(x, y));
  UnaryState* state = op->MakeState<UnaryState>();
  if (state == nullptr) return OutOfMemory();
  state->attrs = op->GetAttrs<UnaryAttrs>();
  PTQ_RETURN_IF_ERROR(CheckUnary(state->attrs));
  state->kernel = SelectKernel(kUnaryF32Kernels, kUnaryF32KernelCount, features);
  op->kernel = state->kernel->name;
  op->run = RunUnary;
  return PTQ_OK;
}

}  // namespace ptq
