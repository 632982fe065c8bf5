// lookup: a function of one int8 as a table of the file, y = table[x + 128].
#include "kernels/convert/contract.h"
#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 32768;

struct LookupState {
  const LookupKernel* kernel;
};

void RunLookup(const PreparedOp& op, const RunContext& run) {
  const LookupKernel* kernel = op.State<LookupState>().kernel;
  const int8_t *x = ReadData<int8_t>(*op.Input(0), run),
               *table = ReadData<int8_t>(*op.Input(1), run);
  int8_t* y = WriteData<int8_t>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    kernel->run(x + begin, y + begin, end - begin, table);
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements), kGrainElements, body);
}

}  // namespace

ptq_status PrepareLookup(uint32_t features, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &table = *op->Input(1), &y = op->Output();
  PTQ_RETURN_IF_ERROR(CheckDType("x", x, 1u << kI8));
  PTQ_RETURN_IF_ERROR(CheckDType("table", table, 1u << kI8));
  PTQ_RETURN_IF_ERROR(CheckDType("output", y, 1u << kI8));
  PTQ_RETURN_IF_ERROR(CheckSameShape(x, y));
  PTQ_RETURN_IF_ERROR(CheckRank("table", table, 1));
  PTQ_RETURN_IF_ERROR(CheckDim("table", table, 0, 256));
  PTQ_RETURN_IF_ERROR(CheckConstant("table", table));
  PTQ_RETURN_IF_ERROR(CheckPerTensor("x", x));
  PTQ_RETURN_IF_ERROR(CheckPerTensor("output", y));
  PTQ_RETURN_IF_ERROR(CheckSameQparams(table, y));
  LookupState* state = op->MakeState<LookupState>();
  if (state == nullptr) return OutOfMemory();
  state->kernel = SelectKernel(kLookupKernels, kLookupKernelCount, features);
  op->kernel = state->kernel->name;
  op->run = RunLookup;
  return PTQ_OK;
}

}  // namespace ptq
