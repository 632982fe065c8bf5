// where: a, b, condition bool -> y with numpy broadcasting.
#include "ops/checks.h"
#include "ops/registry.h"
#include "ops/strides.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 4096;

template <typename T>
void RunWhere(const PreparedOp& op, const RunContext& run) {
  const Strides<3>& s = op.State<Strides<3>>();
  const T *a = ReadData<T>(*op.Input(0), run), *b = ReadData<T>(*op.Input(1), run);
  const uint8_t* condition = ReadData<uint8_t>(*op.Input(2), run);
  T* y = WriteData<T>(op.Output(), run);
  const size_t width = s.width();
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t row = begin; row < end; ++row) {
      size_t at[3];
      s.Row(row, at);
      for (size_t i = 0; i < width; ++i) {
        y[row * width + i] = condition[at[2] + i * s.step(2)] != 0 ? a[at[0] + i * s.step(0)]
                                                                   : b[at[1] + i * s.step(1)];
      }
    }
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements) / width,
                        kGrainElements / width + 1, body);
}

}  // namespace

ptq_status PrepareWhere(uint32_t, PreparedOp* op) {
  Strides<3>* strides = op->MakeState<Strides<3>>();
  if (strides == nullptr) return OutOfMemory();
  const Tensor* operands[] = {op->Input(0), op->Input(1), op->Input(2)};
  PTQ_RETURN_IF_ERROR(strides->Broadcast(operands, op->Output()));
  const size_t size = ElementSize(op->Output().dtype);
  op->kernel = "where__scalar";
  op->run = size == 1 ? RunWhere<uint8_t> : size == 4 ? RunWhere<uint32_t> : RunWhere<uint64_t>;
  return PTQ_OK;
}

}  // namespace ptq
