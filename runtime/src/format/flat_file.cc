// The order in which a flat file is checked.
#include "format/flat_file.h"

#include <string.h>

namespace ptq {

size_t ElementSize(DType dtype) {
  switch (dtype) {
    case kI8:
    case kU8:
    case kBool:
      return 1;
    case kI16:
    case kF16:
      return 2;
    case kI64:
      return 8;
    default:
      return 4;
  }
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
    case kI64:
      return "i64";
    case kU8:
      return "u8";
    case kBool:
      return "bool";
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
