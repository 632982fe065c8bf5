// PLAN, SCAL, QPRM and TENS of a flat file.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "format/flat_file.h"

namespace ptq {
namespace {

ptq_status ReadPlan(const Section& section, FlatFile* file) {
  PlanEntry plan;
  memcpy(&plan, section.data, sizeof plan);
  if (plan.alignment != kAlignment) {
    return Fail(PTQ_BAD_FILE, "PLAN alignment: %" PRIu32 " instead of %zu", plan.alignment,
                kAlignment);
  }
  if (plan.reserved != 0)
    return Fail(PTQ_BAD_FILE, "PLAN reserved: %" PRIu32 " instead of 0", plan.reserved);
  if (plan.arena_size > SIZE_MAX / 4) {
    return Fail(PTQ_OUT_OF_MEMORY,
                "PLAN arena_size: %" PRIu64 " bytes are more than this CPU can address",
                plan.arena_size);
  }
  file->arena_size = plan.arena_size;
  return PTQ_OK;
}

ptq_status ReadScales(const Section& section, FlatFile* file) {
  PTQ_RETURN_IF_ERROR(file->scales.Allocate(section.count));
  for (uint32_t i = 0; i < section.count; ++i) {
    float scale;
    memcpy(&scale, section.data + static_cast<size_t>(i) * section.entry_size, sizeof scale);
    if (!isfinite(scale) || scale <= 0) {
      return Fail(PTQ_BAD_FILE, "SCAL entry %" PRIu32 ": scale %g is not finite and > 0", i,
                  static_cast<double>(scale));
    }
    file->scales[i] = scale;
  }
  return PTQ_OK;
}

// Shape, storage and size of the entry, filled into `tensor`.
ptq_status ReadShape(const TensorEntry& entry, const Section& weights, uint64_t arena_size,
                     Tensor* tensor) {
  if (entry.dtype < kF32 || entry.dtype >= kDTypeEnd)
    return Fail(PTQ_BAD_FILE, "dtype: %u is not 1 (f32) ... 8 (bool)", entry.dtype);
  if (entry.storage != kArena && entry.storage != kConstant) {
    return Fail(PTQ_BAD_FILE, "storage: %u is not 1 (arena) or 2 (constant)", entry.storage);
  }
  if (entry.dtype == kI16 && entry.storage != kConstant)
    return Fail(PTQ_BAD_FILE, "storage: an i16 tensor is a constant");
  if (entry.rank > kMaxRank)
    return Fail(PTQ_BAD_FILE, "rank: %u is more than %zu", entry.rank, kMaxRank);
  if (entry.reserved != 0 || entry.reserved2 != 0) return Fail(PTQ_BAD_FILE, "reserved: not 0");
  tensor->dtype = static_cast<DType>(entry.dtype);
  tensor->storage = static_cast<Storage>(entry.storage);
  tensor->rank = entry.rank;
  uint64_t elements = 1;
  for (uint32_t i = 0; i < kMaxRank; ++i) {
    const uint32_t dim = entry.dims[i];
    if (i >= entry.rank ? dim != 0 : dim < 1 || dim > INT32_MAX) {
      return Fail(PTQ_BAD_FILE,
                  "dims[%" PRIu32 "]: %" PRIu32
                  " (rank is %u; dimensions are 1 ... 2^31-1, 0 beyond the rank)",
                  i, dim, entry.rank);
    }
    tensor->dims[i] = i < entry.rank ? dim : 1;
    elements *= tensor->dims[i];  // both below 2^31
    if (elements > kMaxElements) {
      return Fail(PTQ_BAD_FILE, "dims: %" PRIu64 " elements or more, at most %" PRIu64, elements,
                  kMaxElements);
    }
  }
  const uint64_t size = elements * ElementSize(tensor->dtype);
  if (size != entry.size) {
    return Fail(PTQ_BAD_FILE, "size: %" PRIu64 " bytes for %" PRIu64 " elements of %s", entry.size,
                elements, DTypeName(entry.dtype));
  }
  tensor->elements = elements;
  tensor->size = size;
  const bool constant = tensor->storage == kConstant;
  const uint64_t limit = constant ? weights.size : arena_size;
  if (entry.offset % kAlignment != 0 || entry.offset > limit || size > limit - entry.offset) {
    return Fail(PTQ_BAD_FILE,
                "offset: %" PRIu64 " (+ %" PRIu64
                " bytes) must be a multiple of 64 inside the %s's %" PRIu64 " bytes",
                entry.offset, size, constant ? "section WGTS" : "arena", limit);
  }
  tensor->offset = entry.offset;
  tensor->data = constant ? weights.data + entry.offset : nullptr;
  return PTQ_OK;
}

ptq_status ReadQparams(const TensorEntry& entry, const Section& qparams, const FlatFile& file,
                       Tensor* tensor) {
  if (entry.qparams == kNone) {
    tensor->axis = -1;
    if (tensor->dtype != kI8 && tensor->dtype != kI16) return PTQ_OK;
    return Fail(PTQ_BAD_FILE, "qparams: none, but dtype is %s", DTypeName(tensor->dtype));
  }
  if (tensor->dtype != kI8 && tensor->dtype != kI16 && tensor->dtype != kI32) {
    return Fail(PTQ_BAD_FILE, "qparams: %" PRIu32 ", but dtype is %s", entry.qparams,
                DTypeName(entry.dtype));
  }
  if (entry.qparams >= qparams.count) {
    return Fail(PTQ_BAD_FILE, "qparams: %" PRIu32 ", but QPRM has %" PRIu32 " entries",
                entry.qparams, qparams.count);
  }
  QparamsEntry q;
  memcpy(&q, qparams.data + static_cast<size_t>(entry.qparams) * qparams.entry_size, sizeof q);
  const size_t scales = file.scales.size();
  if (q.scale_count < 1 || q.scale_begin > scales || q.scale_count > scales - q.scale_begin) {
    return Fail(PTQ_BAD_FILE,
                "QPRM entry %" PRIu32 ": scale_begin %" PRIu32 ", scale_count %" PRIu32
                ", but SCAL has %zu entries",
                entry.qparams, q.scale_begin, q.scale_count, scales);
  }
  if (q.zero_point < -128 || q.zero_point > 127 ||
      (q.zero_point != 0 && (q.scale_count > 1 || tensor->dtype != kI8))) {
    return Fail(PTQ_BAD_FILE,
                "QPRM entry %" PRIu32 ": zero_point %" PRId32
                " (must be -128 ... 127, and 0 with several "
                "scales or another dtype than i8)",
                entry.qparams, q.zero_point);
  }
  const bool counted = q.axis >= 0 && q.axis < static_cast<int32_t>(tensor->rank) &&
                       tensor->dims[q.axis] == q.scale_count;
  if (q.scale_count == 1 ? q.axis != -1 : !counted) {
    return Fail(PTQ_BAD_FILE,
                "QPRM entry %" PRIu32 ": axis %" PRId32 " does not have scale_count = %" PRIu32
                " elements (-1 for one scale)",
                entry.qparams, q.axis, q.scale_count);
  }
  tensor->scales = file.scales.data() + q.scale_begin;
  tensor->scale_count = q.scale_count;
  tensor->zero_point = q.zero_point;
  tensor->axis = q.axis;
  return PTQ_OK;
}

// Bytes of all bools: so many times the size of section WGTS, and the floor.
constexpr uint64_t kMostBools = 4, kBoolsFloor = 1 << 20;

// `looked_at`: the bytes of all bools so far. Tensors may share them, and there may be many
// tensors.
ptq_status CheckBools(const Tensor& tensor, uint64_t most, uint64_t* looked_at) {
  if (tensor.dtype != kBool || tensor.storage != kConstant) return PTQ_OK;
  *looked_at += tensor.size;
  if (*looked_at > most) {
    return Fail(PTQ_BAD_FILE, "values: bools of %" PRIu64 " bytes so far, at most %" PRIu64,
                *looked_at, most);
  }
  const uint8_t* values = static_cast<const uint8_t*>(tensor.data);
  for (uint64_t i = 0; i < tensor.elements; ++i) {
    if (values[i] > 1) return Fail(PTQ_BAD_FILE, "values: a bool of %u", values[i]);
  }
  return PTQ_OK;
}

}  // namespace

ptq_status ReadTensors(const Section* sections, FlatFile* file) {
  PTQ_RETURN_IF_ERROR(ReadPlan(sections[kPlan], file));
  PTQ_RETURN_IF_ERROR(ReadScales(sections[kScal], file));
  const Section& section = sections[kTens];
  if (section.count > kMaxEntries) {
    return Fail(PTQ_BAD_FILE, "TENS count: %" PRIu32 " tensors, at most %" PRIu32, section.count,
                kMaxEntries);
  }
  PTQ_RETURN_IF_ERROR(file->tensors.Allocate(section.count));
  uint64_t needed = 0, bools = 0;
  for (uint32_t i = 0; i < section.count; ++i) {
    TensorEntry entry;
    memcpy(&entry, section.data + static_cast<size_t>(i) * section.entry_size, sizeof entry);
    Tensor* tensor = &file->tensors[i];
    tensor->name = FindString(sections[kStrs], entry.name);
    if (tensor->name == nullptr) {
      return Fail(PTQ_BAD_FILE, "tensor %" PRIu32 " name: offset %" PRIu32 " is outside STRS", i,
                  entry.name);
    }
    ptq_status status = ReadShape(entry, sections[kWgts], file->arena_size, tensor);
    if (status == PTQ_OK) status = ReadQparams(entry, sections[kQprm], *file, tensor);
    if (status == PTQ_OK)
      status = CheckBools(*tensor, kMostBools * sections[kWgts].size + kBoolsFloor, &bools);
    if (status != PTQ_OK) {
      PrefixLastError("tensor %" PRIu32 " '%.60s' ", i, tensor->name);
      return status;
    }
    if (tensor->storage == kArena) needed += RoundUp(tensor->size, kAlignment);
  }
  if (file->arena_size > needed) {
    return Fail(PTQ_BAD_FILE,
                "PLAN arena_size: %" PRIu64 " bytes, more than all arena tensors together (%" PRIu64
                ")",
                file->arena_size, needed);
  }
  return PTQ_OK;
}

}  // namespace ptq
