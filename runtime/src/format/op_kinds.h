// The operators of the format as data: number, name, how many inputs, attributes.
#ifndef PTQ_FORMAT_OP_KINDS_H_
#define PTQ_FORMAT_OP_KINDS_H_

#include <stddef.h>
#include <stdint.h>

#include "generated/operators.h"

namespace ptq {

enum OpFieldType : uint8_t { kU32, kS32, kReal, kU32Array, kS32Array };

// A field of an operator's attributes; an array has kMaxRank entries.
struct OpField {
  const char* name;
  OpFieldType type;
  const char* const* values;  // names of the values, null: they are numbers
};

struct OpKind {
  uint16_t id;
  const char* name;
  uint16_t min_inputs,
      max_inputs;  // inputs beyond min_inputs are optional and may be absent (concat's may not)
  const OpField* fields;  // in file order
  uint32_t field_count;
  uint32_t attr_size;
};

// Generated of the rows of ptq_core/flatfile/operators.
extern const OpKind kOpKinds[];
extern const size_t kOpKindCount;

// Null for a number that the format does not define.
const OpKind* FindOpKind(uint16_t id);

}  // namespace ptq

#endif  // PTQ_FORMAT_OP_KINDS_H_
