// unary: a float function of each element.
#include <math.h>

#include "kernels/unary/contract.h"
#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 4096;

struct UnaryState {
  const UnaryF32Kernel* f32;  // one of the two is set
  const UnaryF16Kernel* f16;
  UnaryAttrs attrs;
};

template <typename T>
void RunReal(const PreparedOp& op, const RunContext& run, const UnaryRealKernel<T>& kernel) {
  const UnaryAttrs& a = op.State<UnaryState>().attrs;
  const T* x = ReadData<T>(*op.Input(0), run);
  T* y = WriteData<T>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    kernel.run({static_cast<UnaryFunction>(a.function), x + begin, y + begin, end - begin, a.alpha,
                a.beta, a.clamp.lo, a.clamp.hi});
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements), kGrainElements, body);
}

void RunF32(const PreparedOp& op, const RunContext& run) {
  RunReal(op, run, *op.State<UnaryState>().f32);
}

void RunF16(const PreparedOp& op, const RunContext& run) {
  RunReal(op, run, *op.State<UnaryState>().f16);
}

ptq_status CheckParameter(const char* name, float value, bool used) {
  if (isfinite(value) && (used || value == 0.0f)) return PTQ_OK;
  return Fail(PTQ_BAD_FILE, "%s: %g is not %s", name, static_cast<double>(value),
              used ? "finite" : "0, and the function has none");
}

ptq_status CheckUnary(const UnaryAttrs& attrs) {
  const bool has_beta = attrs.function == kUnaryHardSigmoid;
  const bool has_alpha =
      has_beta || attrs.function == kUnaryLeakyRelu || attrs.function == kUnaryElu;
  PTQ_RETURN_IF_ERROR(CheckParameter("alpha", attrs.alpha, has_alpha));
  return CheckParameter("beta", attrs.beta, has_beta);
}

}  // namespace

ptq_status PrepareUnary(uint32_t features, PreparedOp* op) {
  const Tensor& x = *op->Input(0);
  UnaryState* state = op->MakeState<UnaryState>();
  if (state == nullptr) return OutOfMemory();
  state->attrs = op->GetAttrs<UnaryAttrs>();
  PTQ_RETURN_IF_ERROR(CheckUnary(state->attrs));
  if (x.dtype == kF16) {
    state->f16 = SelectKernel(kUnaryF16Kernels, features);
    op->kernel = state->f16->name;
    op->run = RunF16;
    return PTQ_OK;
  }
  state->f32 = SelectKernel(kUnaryF32Kernels, features);
  op->kernel = state->f32->name;
  op->run = RunF32;
  return PTQ_OK;
}

}  // namespace ptq
