// Loading: map or copy, parse, prepare every operator.
#include "program/program.h"

#include <inttypes.h>
#include <string.h>

#include "base/math.h"
#include "ops/registry.h"

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

ptq_status ptq_program::Load(const uint8_t* data, size_t size, uint32_t features) {
  PTQ_RETURN_IF_ERROR(ptq::ParseFlatFile(data, size, &file));
  mapped.DropPages();  // the checksum read all of them
  PTQ_RETURN_IF_ERROR(ops.Allocate(file.operators.size()));
  for (size_t i = 0; i < ops.size(); ++i) {
    const ptq::Operator& op = file.operators[i];
    ops[i].op = &op;
    ops[i].tensors = file.tensors.data();
    ops[i].pool = &pool;
    const ptq_status status = ptq::FindOpImplementation(op.kind->id)->prepare(features, &ops[i]);
    if (status != PTQ_OK) {
      ptq::PrefixLastError("operator %zu '%.60s' (%s) ", i, op.name, op.kind->name);
      return status;
    }
    if (ops[i].workspace_per_thread > SIZE_MAX / 2) {
      return ptq::Fail(PTQ_OUT_OF_MEMORY,
                       "operator %zu '%.60s' (%s) cannot allocate a workspace of %" PRIu64 " bytes",
                       i, op.name, op.kind->name, ops[i].workspace_per_thread);
    }
    workspace_per_thread =
        ptq::Max(workspace_per_thread, static_cast<size_t>(ops[i].workspace_per_thread));
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
