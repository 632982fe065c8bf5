// The order in which a flat file is checked.
#include "format/flat_file.h"

#include <string.h>

namespace ptq {

size_t ElementSize(DType dtype) {
  return dtype == kI8 ? 1 : dtype == kI16 || dtype == kF16 ? 2 : 4;
}

const char* DTypeName(uint8_t dtype) {
  switch (dtype) {
    case kF32:
      return "f32";
    case kI8:
      return "i8";
    case kI32:
      return "i32";
    case kI16:
      return "i16";
    case kF16:
      return "f16";
    default:
      return "?";
  }
}

ptq_status ParseFlatFile(const uint8_t* data, size_t size, FlatFile* file) {
  Section sections[kSectionIdCount] = {};
  PTQ_RETURN_IF_ERROR(ReadSections(data, size, sections));
  memcpy(&file->header, data, sizeof file->header);
  PTQ_RETURN_IF_ERROR(ReadTensors(sections, file));
  PTQ_RETURN_IF_ERROR(ReadOperators(sections, file));
  return CheckMemoryPlan(*file);
}

}  // namespace ptq
