// INDX, INPT, OUTP, OPRS and ATTR of a flat file.
#include <inttypes.h>
#include <string.h>

#include "format/flat_file.h"

namespace ptq {
namespace {

ptq_status ReadIndices(const Section& section, Array<uint32_t>* indices) {
  PTQ_RETURN_IF_ERROR(indices->Allocate(section.count));
  for (uint32_t i = 0; i < section.count; ++i) {
    memcpy(&(*indices)[i], section.data + static_cast<size_t>(i) * section.entry_size,
           sizeof(uint32_t));
  }
  return PTQ_OK;
}

ptq_status CheckProgramTensors(const FlatFile& file, const Array<uint32_t>& indices,
                               const char* kind) {
  for (size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] >= file.tensors.size()) {
      return Fail(PTQ_BAD_FILE, "%s entry %zu: tensor %" PRIu32 " does not exist (there are %zu)",
                  kind, i, indices[i], file.tensors.size());
    }
  }
  return PTQ_OK;
}

ptq_status ReadOperator(const OperatorEntry& entry, const Section& attributes, const FlatFile& file,
                        Operator* op) {
  op->kind = FindOpKind(entry.kind);
  if (op->kind == nullptr) {
    return Fail(PTQ_BAD_FILE,
                "kind: %u is no operator that this runtime knows (format %u.%u, written by '%s')",
                entry.kind, file.header.version_major, file.header.version_minor,
                file.header.producer);
  }
  if (entry.flags != 0) return Fail(PTQ_BAD_FILE, "flags: %u instead of 0", entry.flags);
  if (entry.reserved[0] != 0 || entry.reserved[1] != 0)
    return Fail(PTQ_BAD_FILE, "reserved: not 0");
  if (entry.input_count < op->kind->min_inputs || entry.input_count > op->kind->max_inputs) {
    return Fail(PTQ_BAD_FILE, "input_count: %u is not in %u ... %u", entry.input_count,
                op->kind->min_inputs, op->kind->max_inputs);
  }
  if (entry.output_count != 1)
    return Fail(PTQ_BAD_FILE, "output_count: %u instead of 1", entry.output_count);
  const uint32_t index_count = static_cast<uint32_t>(entry.input_count) + entry.output_count;
  const size_t available = file.indices.size();
  if (entry.index_begin > available || index_count > available - entry.index_begin) {
    return Fail(PTQ_BAD_FILE, "index_begin: %" PRIu32 " + %" PRIu32 " indices go beyond INDX's %zu",
                entry.index_begin, index_count, available);
  }
  if (entry.attr_size != op->kind->attr_size) {
    return Fail(PTQ_BAD_FILE, "attr_size: %" PRIu32 " instead of %" PRIu32, entry.attr_size,
                op->kind->attr_size);
  }
  if (entry.attr_begin % 4 != 0 || entry.attr_begin > attributes.size ||
      entry.attr_size > attributes.size - entry.attr_begin) {
    return Fail(PTQ_BAD_FILE,
                "attr_begin: %" PRIu32 " must be a multiple of 4 with %" PRIu32
                " bytes after it inside ATTR's %zu",
                entry.attr_begin, entry.attr_size, attributes.size);
  }
  op->inputs = file.indices.data() + entry.index_begin;
  op->outputs = op->inputs + entry.input_count;
  op->input_count = entry.input_count;
  op->output_count = entry.output_count;
  op->attrs = attributes.data + entry.attr_begin;
  for (uint32_t i = 0; i < index_count; ++i) {
    const uint32_t index = op->inputs[i];
    const bool optional =
        i >= op->kind->min_inputs && i < entry.input_count && op->kind->max_inputs != kManyInputs;
    if (index < file.tensors.size() || (index == kNone && optional)) continue;
    const bool is_input = i < entry.input_count;
    return Fail(PTQ_BAD_FILE, "%s %" PRIu32 ": tensor %" PRIu32 " does not exist (there are %zu)",
                is_input ? "input" : "output", is_input ? i : i - entry.input_count, index,
                file.tensors.size());
  }
  return PTQ_OK;
}

}  // namespace

ptq_status ReadOperators(const Section* sections, FlatFile* file) {
  PTQ_RETURN_IF_ERROR(ReadIndices(sections[kIndx], &file->indices));
  PTQ_RETURN_IF_ERROR(ReadIndices(sections[kInpt], &file->inputs));
  PTQ_RETURN_IF_ERROR(ReadIndices(sections[kOutp], &file->outputs));
  PTQ_RETURN_IF_ERROR(CheckProgramTensors(*file, file->inputs, "INPT"));
  PTQ_RETURN_IF_ERROR(CheckProgramTensors(*file, file->outputs, "OUTP"));
  const Section& section = sections[kOprs];
  if (section.count > kMaxEntries) {
    return Fail(PTQ_BAD_FILE, "OPRS count: %" PRIu32 " operators, at most %" PRIu32, section.count,
                kMaxEntries);
  }
  size_t indices = 0;
  PTQ_RETURN_IF_ERROR(file->operators.Allocate(section.count));
  for (uint32_t i = 0; i < section.count; ++i) {
    OperatorEntry entry;
    memcpy(&entry, section.data + static_cast<size_t>(i) * section.entry_size, sizeof entry);
    Operator* op = &file->operators[i];
    op->name = FindString(sections[kStrs], entry.name);
    if (op->name == nullptr) {
      return Fail(PTQ_BAD_FILE, "operator %" PRIu32 " name: offset %" PRIu32 " is outside STRS", i,
                  entry.name);
    }
    ptq_status status = ReadOperator(entry, sections[kAttr], *file, op);
    indices += op->input_count + op->output_count;
    if (status == PTQ_OK && indices > file->indices.size()) {
      status = Fail(PTQ_BAD_FILE,
                    "index_begin: the operators have more operands than INDX's %zu entries",
                    file->indices.size());
    }
    if (status != PTQ_OK) {
      PrefixLastError("operator %" PRIu32 " '%.60s' ", i, op->name);
      return status;
    }
  }
  return PTQ_OK;
}

}  // namespace ptq
