// The operators of the format as data: number, name, how many inputs, attributes.
#ifndef PTQ_FORMAT_OP_KINDS_H_
#define PTQ_FORMAT_OP_KINDS_H_

#include <stddef.h>
#include <stdint.h>

#include "format/layout.h"
#include "generated/operators.h"

namespace ptq {

enum OpFieldType : uint8_t { kU32, kS32, kReal, kU32Array, kS32Array };

inline bool IsArray(OpFieldType type) { return type == kU32Array || type == kS32Array; }
inline size_t FieldSize(OpFieldType type) {
  return sizeof(uint32_t) * (IsArray(type) ? kMaxRank : 1);
}

enum OpFieldRule : uint8_t {
  kAnyValue,
  kInRange,    // least ... most
  kBelowRank,  // a dimension of the first input
  kPositive,   // above 0 and finite
  kInOrder,    // with the three that follow: the bounds of a clamp
};

// A field of an operator's attributes. An array has kMaxRank entries: the rule holds within the
// rank of the first input, beyond it they are 0.
struct OpField {
  const char* name;
  OpFieldType type;
  OpFieldRule rule;
  int64_t least, most;
  const char* const* values;  // names of the values, null: they are numbers
};

enum OpScales : uint8_t {
  kOneScale,         // an activation
  kScaleOfOutput,    // scale and zero point of the output
  kScalesPerOutput,  // weights: one, or one per dimension 0; zero point 0
  kNoScale,          // numbers that stand for themselves
  kAnyScales,
};

constexpr int8_t kAnyRank = -2, kRankOfX = -1;

// An input or the output of an operator.
struct OpOperand {
  const char* name;
  uint16_t types[kDTypeEnd];  // by the DType of the first input: bits 1 << DType of this one
  int8_t rank;
  OpScales scales;
  bool is_constant;
};

constexpr uint16_t kManyInputs = 0xFFFF;  // as max_inputs: the last may come more often

struct OpKind {
  uint16_t id;
  const char* name;
  // Inputs beyond min_inputs are optional and may be absent, unless the last may come more often.
  uint16_t min_inputs, max_inputs;
  const OpField* fields;  // in file order
  uint32_t field_count;
  uint32_t attr_size;
  const OpOperand* operands;  // its inputs, of which the last may come more often, and the output
  uint32_t operand_count;
  // Traits of the row (ptq_core/flatfile/operators/description.py).
  bool same_shape;  // the output has the first input's shape
  bool weighted;    // input 1 is weights, which are packed when the operator is prepared
  bool packs_once;  // ... and are shared by the operators that read them
  bool same_bytes;  // the output is the input's bytes, and may lie on it

  const OpOperand& Input(uint32_t i) const {
    return operands[i < operand_count - 1 ? i : operand_count - 2];
  }
  const OpOperand& Output() const { return operands[operand_count - 1]; }
};

// Generated from the rows of ptq_core/flatfile/operators.
extern const OpKind kOpKinds[];
extern const size_t kOpKindCount;

// Null for a number that the format does not define.
const OpKind* FindOpKind(uint16_t id);

}  // namespace ptq

#endif  // PTQ_FORMAT_OP_KINDS_H_
