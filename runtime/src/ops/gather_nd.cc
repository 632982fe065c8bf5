// gather_nd: x, computed indices [..., K] -> y, what lies in x behind each row of K indices.
#include "ops/places.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainBytes = 8192;

void RunGatherNd(const PreparedOp& op, const RunContext& run) {
  const Places& places = op.State<Places>();
  const size_t size = ElementSize(op.Output().dtype), item = places.item() * size;
  const uint8_t *x = ReadData<uint8_t>(*op.Input(0), run),
                *indices = ReadData<uint8_t>(*op.Input(1), run);
  uint8_t* y = WriteData<uint8_t>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t row = begin; row < end; ++row) {
      size_t at;
      if (places.Find(indices, row, &at)) {
        memcpy(y + row * item, x + at * size, item);
      } else {
        run.Fail();
      }
    }
  };
  run.pool->ParallelFor(places.rows(), kGrainBytes / item + 1, body);
}

}  // namespace

ptq_status PrepareGatherNd(uint32_t, PreparedOp* op) {
  Places* places = op->MakeState<Places>();
  if (places == nullptr) return OutOfMemory();
  PTQ_RETURN_IF_ERROR(places->Prepare("output", *op->Input(0), *op->Input(1), op->Output()));
  op->kernel = "gather_nd__scalar";
  op->failure = kNoSuchPlace;
  op->run = RunGatherNd;
  return PTQ_OK;
}

}  // namespace ptq
