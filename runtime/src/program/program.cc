// Loading: map or copy, parse, prepare every operator.
#include "program/program.h"

#include <inttypes.h>
#include <string.h>

#include "base/budget.h"
#include "base/math.h"
#include "ops/registry.h"
#include "program/expanded_weights.h"

ptq_program::~ptq_program() {
  for (ptq::PreparedOp& op : ops) {
    if (op.destroy_state != nullptr) op.destroy_state(op.state);
  }
}

ptq_status ptq_program::LoadFile(const char* path, uint32_t features) {
  PTQ_RETURN_IF_ERROR(mapped.Open(path));
  return Load(mapped.data(), mapped.size(), features);
}

ptq_status ptq_program::LoadMemory(const void* data, size_t size, uint32_t features) {
  if (reinterpret_cast<uintptr_t>(data) % ptq::kAlignment == 0) {
    return Load(static_cast<const uint8_t*>(data), size, features);
  }
  PTQ_RETURN_IF_ERROR(copy.Allocate(size));
  memcpy(copy.data(), data, size);
  return Load(copy.data(), size, features);
}

ptq_status ptq_program::PrepareOperator(size_t index, size_t file_size, uint32_t features) {
  const ptq::Operator& op = file.operators[index];
  ptq::PreparedOp* prepared = &ops[index];
  prepared->op = &op;
  prepared->tensors = file.tensors.data();
  prepared->pool = &pool;
  prepared->packings = &packings;
  const ptq::OpImplementation* implementation = ptq::FindOpImplementation(op.kind->id);
  if (implementation == nullptr) {
    return ptq::Fail(PTQ_UNSUPPORTED, "is not in this runtime, which was tailored to other models");
  }
  ptq::ExpandedWeights weights;
  PTQ_RETURN_IF_ERROR(weights.Expand(op, &file));
  PTQ_RETURN_IF_ERROR(ptq::PrepareOp(*implementation, features, prepared));
  const uint64_t steps = (ptq::ElementSteps(file, op) + prepared->steps).value;
  if (steps > ptq::kMaxWork - work) {
    return ptq::Fail(PTQ_BAD_FILE,
                     "work: %" PRIu64 " steps after %" PRIu64 ", a program has at most %" PRIu64,
                     steps, work, ptq::kMaxWork);
  }
  work += steps;
  const uint64_t most =
      ptq::Min<uint64_t>(ptq::MemoryLimit(file_size, file.arena_size), SIZE_MAX / 2);
  const uint64_t wanted = ptq::Max(prepared->workspace_per_thread, prepared->scratch);
  if (wanted > most) {
    return ptq::Fail(PTQ_OUT_OF_MEMORY,
                     "cannot allocate a workspace of %" PRIu64 " bytes, at most %" PRIu64
                     " for a file and an arena of this size",
                     wanted, most);
  }
  scratch = ptq::Max(scratch, static_cast<size_t>(prepared->scratch));
  workspace_per_thread =
      ptq::Max(workspace_per_thread, static_cast<size_t>(prepared->workspace_per_thread));
  return PTQ_OK;
}

ptq_status ptq_program::Load(const uint8_t* data, size_t size, uint32_t features) {
  ptq::Budget budget(ptq::MemoryLimit(size, 0));
  PTQ_RETURN_IF_ERROR(ptq::ParseFlatFile(data, size, &file));
  const uint64_t expanded = ptq::ExpandedBytes(file, size);
  budget.Extend(4 * (file.arena_size + expanded));
  // What f16 becomes in float32 is the load of a file of twice the size.
  if (file.HoldsF16()) budget.Extend(4 * uint64_t{size});
  mapped.DropPages();  // the checksum read all of them
  packings.ShareConstantsIn(data, size);
  PTQ_RETURN_IF_ERROR(ops.Allocate(file.operators.size()));
  for (size_t i = 0; i < ops.size(); ++i) {
    const ptq_status status = PrepareOperator(i, size + expanded, features);
    if (status != PTQ_OK) {
      ptq::PrefixLastError("operator %zu '%.60s' (%s) ", i, file.operators[i].name,
                           file.operators[i].kind->name);
      return status;
    }
    mapped.DropPages();  // weights that were packed are not read again
  }
  ptq::Weights next = {};
  for (size_t i = ops.size(); i-- > 0;) {
    ops[i].next_weights = next;
    if (ops[i].weights.bytes != 0) next = ops[i].weights;
  }
  workspace_per_thread = static_cast<size_t>(ptq::RoundUp(workspace_per_thread, ptq::kAlignment));
  return PTQ_OK;
}

namespace ptq {

ptq_tensor_info TensorInfo(const Tensor& tensor) {
  ptq_tensor_info info = {};
  info.name = tensor.name;
  info.dtype = tensor.dtype;
  info.rank = static_cast<int32_t>(tensor.rank);
  for (uint32_t i = 0; i < tensor.rank; ++i) info.dims[i] = tensor.dims[i];
  info.size_bytes = static_cast<size_t>(tensor.size);
  info.scale = tensor.scales != nullptr ? tensor.scales[0] : 0.0f;
  info.zero_point = tensor.zero_point;
  return info;
}

}  // namespace ptq
