// Creating and running a context.
#include "program/context.h"

#include <time.h>

#include <atomic>

#include "base/math.h"

namespace {

double NowMicroseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

}  // namespace

ptq_status ptq_context::Create(const ptq_program* source, size_t threads) {
  program = source;
  const uint64_t arena = ptq::RoundUp(source->file.arena_size, ptq::kAlignment);
  uint64_t workspaces = 0;
  if (arena > SIZE_MAX / 2 || !ptq::Multiply(source->workspace_per_thread, threads, &workspaces) ||
      workspaces > SIZE_MAX / 2) {
    return ptq::Fail(PTQ_OUT_OF_MEMORY, "cannot allocate an arena of %llu bytes and %zu workspaces",
                     static_cast<unsigned long long>(arena), threads);
  }
  PTQ_RETURN_IF_ERROR(pages.Allocate(static_cast<size_t>(arena), &memory));
  PTQ_RETURN_IF_ERROR(pages.Allocate(static_cast<size_t>(workspaces), &workspace));
  PTQ_RETURN_IF_ERROR(pages.Allocate(source->scratch, &scratch));
  return pool.Start(threads);
}

void* ptq_context::TensorData(const ptq::Tensor& tensor) const {
  if (tensor.storage == ptq::kConstant) return const_cast<void*>(tensor.data);
  return const_cast<uint8_t*>(memory.data()) + tensor.offset;
}

void ptq_context::NormalizeBools() {
  for (uint32_t index : program->file.inputs) {
    const ptq::Tensor& tensor = program->file.tensors[index];
    if (tensor.dtype != ptq::kBool) continue;
    uint8_t* values = static_cast<uint8_t*>(TensorData(tensor));
    for (uint64_t i = 0; i < tensor.size; ++i) values[i] = values[i] != 0;
  }
}

ptq_status ptq_context::Run() {
  NormalizeBools();
  std::atomic<bool> failed{false};
  ptq::RunContext run = {
      memory.data(), scratch.data(), workspace.data(), program->workspace_per_thread,
      &pool,         &failed};
  for (size_t i = 0; i < program->ops.size(); ++i) {
    const ptq::PreparedOp& op = program->ops[i];
    const double begin = observer == nullptr ? 0 : NowMicroseconds();
    op.run(op, run);
    if (failed.load(std::memory_order_relaxed)) {
      return ptq::Fail(PTQ_OUT_OF_RANGE, "operator %zu '%.60s' (%s): %s", i, op.op->name,
                       op.op->kind->name, op.failure);
    }
    if (observer == nullptr) continue;
    const double microseconds = NowMicroseconds() - begin;
    const ptq::Tensor& output = op.Output();
    const ptq_tensor_info info = ptq::TensorInfo(output);
    observer(observer_user, static_cast<uint32_t>(i), &info, TensorData(output), microseconds);
  }
  return PTQ_OK;
}
