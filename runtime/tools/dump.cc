// The dump of a flat file: the twin of ptq_core/flatfile/dump.py, held to it by a test.
#include "tools/dump.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

namespace ptq {
namespace {

constexpr uint32_t kShownScales = 4;

constexpr const char* kTargetNames[] = {"arm64", "armv7", "x86_64", "x86"};  // bit 0 ...

void PrintReal(FILE* out, const uint8_t* data) {
  float value;
  memcpy(&value, data, sizeof value);
  fprintf(out, "%.9g", static_cast<double>(value));
}

void PrintInteger(FILE* out, const uint8_t* data, bool is_signed) {
  uint32_t value;
  memcpy(&value, data, sizeof value);
  if (is_signed) {
    fprintf(out, "%" PRId32, static_cast<int32_t>(value));
  } else {
    fprintf(out, "%" PRIu32, value);
  }
}

// Whether the field is a bound of the operator's own clamp, and bounds nothing.
bool IsOpenBound(const OpField& field, const uint8_t* data) {
  float real;
  int32_t integer;
  memcpy(&real, data, sizeof real);
  memcpy(&integer, data, sizeof integer);
  if (strcmp(field.name, "lo") == 0) return isinf(real) && real < 0;
  if (strcmp(field.name, "hi") == 0) return isinf(real) && real > 0;
  if (strcmp(field.name, "q_min") == 0) return integer == -128;
  return strcmp(field.name, "q_max") == 0 && integer == 127;
}

void PrintAttributes(FILE* out, const Operator& op, uint32_t rank) {
  const uint8_t* data = static_cast<const uint8_t*>(op.attrs);
  const OpField* end = op.kind->fields + op.kind->field_count;
  for (const OpField* field = op.kind->fields; field != end; ++field) {
    if (!IsOpenBound(*field, data)) {
      fprintf(out, "%s=", field->name);
      if (IsArray(field->type)) {
        fputc('[', out);
        for (uint32_t i = 0; i < rank; ++i) {
          if (i > 0) fputc(',', out);
          PrintInteger(out, data + i * sizeof(uint32_t), field->type == kS32Array);
        }
        fputc(']', out);
      } else if (field->values != nullptr) {
        uint32_t value;
        memcpy(&value, data, sizeof value);
        fputs(field->values[value], out);
      } else if (field->type == kReal) {
        PrintReal(out, data);
      } else {
        PrintInteger(out, data, field->type == kS32);
      }
      fputc(' ', out);
    }
    data += FieldSize(field->type);
  }
}

void PrintIndices(FILE* out, const uint32_t* indices, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0) fputs(", ", out);
    if (indices[i] == kNone) {
      fputc('-', out);
    } else {
      fprintf(out, "%%%" PRIu32, indices[i]);
    }
  }
}

void PrintType(FILE* out, const Tensor& tensor) {
  fprintf(out, "%s[", DTypeName(tensor.dtype));
  for (uint32_t i = 0; i < tensor.rank; ++i)
    fprintf(out, "%s%" PRIu32, i > 0 ? "," : "", tensor.dims[i]);
  fputc(']', out);
}

void PrintQparams(FILE* out, const Tensor& tensor) {
  if (tensor.scales == nullptr) return;
  fputs(" scale=", out);
  for (uint32_t i = 0; i < tensor.scale_count && i < kShownScales; ++i)
    fprintf(out, "%s%.9g", i > 0 ? "," : "", static_cast<double>(tensor.scales[i]));
  if (tensor.scale_count > kShownScales)
    fprintf(out, ",\xE2\x80\xA6(%" PRIu32 ")", tensor.scale_count);
  fprintf(out, " zero_point=%" PRId32, tensor.zero_point);
  if (tensor.scale_count > 1) fprintf(out, " axis=%" PRId32, tensor.axis);
}

void PrintHeader(FILE* out, const FileHeader& header, const Section& meta) {
  fprintf(out, "flat file %u.%u by %s for ", header.version_major, header.version_minor,
          header.producer[0] != '\0' ? header.producer : "?");
  bool first = true;
  for (uint32_t bit = 0; bit < sizeof kTargetNames / sizeof kTargetNames[0]; ++bit) {
    if ((header.targets >> bit & 1) == 0) continue;
    fprintf(out, "%s%s", first ? "" : ", ", kTargetNames[bit]);
    first = false;
  }
  fputc('\n', out);
  fputs("meta ", out);
  if (meta.size == 0) fputs("{}", out);
  if (meta.size != 0) fwrite(meta.data, 1, meta.size, out);
  fputc('\n', out);
}

void PrintEdges(FILE* out, const char* label, const Array<uint32_t>& indices,
                const FlatFile& file) {
  for (const uint32_t index : indices) {
    fprintf(out, "%s %%%" PRIu32 " ", label, index);
    PrintType(out, file.tensors[index]);
    fprintf(out, " %s\n", file.tensors[index].name);
  }
}

}  // namespace

ptq_status DumpFile(const uint8_t* data, size_t size, const FlatFile& file, FILE* out) {
  FileHeader header;
  memcpy(&header, data, sizeof header);
  Section sections[kSectionIdCount] = {};
  PTQ_RETURN_IF_ERROR(ReadSections(data, size, sections));
  PrintHeader(out, header, sections[kMeta]);
  uint64_t constants = 0;
  for (const Tensor& tensor : file.tensors) constants += tensor.data != nullptr ? tensor.size : 0;
  fprintf(out, "arena %" PRIu64 " bytes, constants %" PRIu64 " bytes\n", file.arena_size,
          constants);
  PrintEdges(out, "input", file.inputs, file);
  PrintEdges(out, "output", file.outputs, file);
  for (size_t i = 0; i < file.operators.size(); ++i) {
    const Operator& op = file.operators[i];
    fprintf(out, "op %zu ", i);
    PrintIndices(out, op.outputs, op.output_count);
    fprintf(out, " = %s(", op.kind->name);
    PrintIndices(out, op.inputs, op.input_count);
    fputs(") ", out);
    PrintAttributes(out, op, op.inputs[0] == kNone ? 0 : file.tensors[op.inputs[0]].rank);
    fprintf(out, "%s\n", op.name);
  }
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    const Tensor& tensor = file.tensors[i];
    fprintf(out, "tensor %%%zu ", i);
    PrintType(out, tensor);
    if (tensor.data != nullptr) {
      fputs(" constant", out);
    } else {
      fprintf(out, " arena+%" PRIu64, tensor.offset);
    }
    PrintQparams(out, tensor);
    fprintf(out, " %s\n", tensor.name);
  }
  return PTQ_OK;
}

}  // namespace ptq
