// reshape: the same elements under another shape. Costs nothing where the memory plan puts the
// output on the input.
#include <inttypes.h>

#include "ops/registry.h"

namespace ptq {
namespace {

void RunReshape(const PreparedOp& op, const RunContext& run) {
  const Tensor& y = op.Output();
  const uint8_t* from = ReadData<uint8_t>(*op.Input(0), run);
  uint8_t* to = WriteData<uint8_t>(y, run);
  if (from != to) memcpy(to, from, static_cast<size_t>(y.size));
}

}  // namespace

ptq_status PrepareReshape(uint32_t, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  if (x.elements != y.elements) {
    return Fail(PTQ_BAD_FILE, "output '%.60s': %" PRIu64 " elements instead of %" PRIu64, y.name,
                y.elements, x.elements);
  }
  op->kernel = "reshape_copy__scalar";
  op->run = RunReshape;
  return PTQ_OK;
}

}  // namespace ptq
