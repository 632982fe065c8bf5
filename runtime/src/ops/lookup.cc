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
  PTQ_RETURN_IF_ERROR(CheckDim("table", *op->Input(1), 0, 256));
  LookupState* state = op->MakeState<LookupState>();
  if (state == nullptr) return OutOfMemory();
  state->kernel = SelectKernel(kLookupKernels, features);
  op->kernel = state->kernel->name;
  op->run = RunLookup;
  return PTQ_OK;
}

}  // namespace ptq
