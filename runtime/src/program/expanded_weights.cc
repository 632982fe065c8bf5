// i8 and i16 weights of float operators.
#include "program/expanded_weights.h"

#include <inttypes.h>

#include "base/math.h"
#include "ops/checks.h"

namespace ptq {
namespace {

constexpr uint32_t kWeightInput = 1;

bool IsCompressed(const Operator& op, const FlatFile& file) {
  if (!op.kind->weighted) return false;
  const Tensor &x = file.tensors[op.inputs[0]], &w = file.tensors[op.inputs[kWeightInput]];
  return x.dtype == kF32 && (w.dtype == kI8 || w.dtype == kI16) && w.storage == kConstant;
}

ptq_status CheckStored(const Tensor& w) {
  if (w.zero_point != 0) {
    return Fail(PTQ_BAD_FILE, "w '%.60s' zero_point: %" PRId32 " instead of 0", w.name,
                w.zero_point);
  }
  if (w.scale_count != 1 && w.axis != 0)
    return Fail(PTQ_BAD_FILE, "w '%.60s' axis: %" PRId32 " instead of 0", w.name, w.axis);
  return PTQ_OK;
}

template <typename T>
void Dequantize(const Tensor& w, float* out) {
  const T* q = static_cast<const T*>(w.data);
  const size_t per_scale = static_cast<size_t>(w.elements / w.scale_count);
  for (uint32_t channel = 0; channel < w.scale_count; ++channel) {
    const float scale = w.scales[channel];
    for (size_t i = 0; i < per_scale; ++i) *out++ = static_cast<float>(*q++) * scale;
  }
}

}  // namespace

ExpandedWeights::~ExpandedWeights() {
  if (place_ != nullptr) *place_ = stored_;
}

ptq_status ExpandedWeights::Expand(const Operator& op, FlatFile* file) {
  if (!IsCompressed(op, *file)) return PTQ_OK;
  Tensor* w = &file->tensors[op.inputs[kWeightInput]];
  PTQ_RETURN_IF_ERROR(CheckStored(*w));
  for (uint32_t i = 0; i < op.input_count; ++i) {  // what reads them as they are wants floats
    if (i != kWeightInput && op.inputs[i] == op.inputs[kWeightInput])
      PTQ_RETURN_IF_ERROR(CheckDType(op.kind->Input(i).name, *w, op.kind->Input(i).types[kF32]));
  }
  if (w->elements > SIZE_MAX / sizeof(float))
    return Fail(PTQ_OUT_OF_MEMORY, "cannot allocate %" PRIu64 " weights", w->elements);
  PTQ_RETURN_IF_ERROR(values_.Allocate(static_cast<size_t>(w->elements)));
  if (w->dtype == kI8) {
    Dequantize<int8_t>(*w, values_.data());
  } else {
    Dequantize<int16_t>(*w, values_.data());
  }
  stored_ = *w;
  place_ = w;
  w->dtype = kF32;
  w->data = values_.data();
  w->size = w->elements * sizeof(float);
  w->scales = nullptr;
  w->scale_count = 0;
  w->axis = -1;
  return PTQ_OK;
}

uint64_t ExpandedBytes(const FlatFile& file, uint64_t file_size) {
  const uint64_t most = sizeof(float) * file_size;
  uint64_t bytes = 0;
  for (const Operator& op : file.operators) {
    if (!IsCompressed(op, file)) continue;
    bytes += Min(most, file.tensors[op.inputs[kWeightInput]].elements * sizeof(float));
    if (bytes >= most) return most;
  }
  return bytes;
}

}  // namespace ptq
