// The operators of the format as data: number, name, how many inputs, how many attribute bytes.
#ifndef PTQ_FORMAT_OP_KINDS_H_
#define PTQ_FORMAT_OP_KINDS_H_

#include <stddef.h>
#include <stdint.h>

namespace ptq {

enum OpKindId : uint16_t {
  kConv2d = 1,
  kFullyConnected,
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMaxPool2d,
  kAveragePool2d,
  kConcat,
  kSoftmax,
  kQuantize,
  kDequantize,
  kClamp,
  kTranspose,
  kReshape,
  kPad,
  kUnary,
  kLookup,
  kMaximum,
  kMinimum,
  kPow,
  kResize,
  kSlice,
  kGather,
  kReduce,
  kDilate,
  kArgMax,
  kConv2dAdd,
  kConvert,
};

// The kinds with weights, input 1, that are packed when the operator is prepared.
inline bool HasWeights(uint16_t kind) {
  return kind == kConv2d || kind == kConv2dAdd || kind == kFullyConnected;
}

struct OpKind {
  uint16_t id;
  const char* name;
  uint16_t min_inputs,
      max_inputs;  // inputs beyond min_inputs are optional and may be absent (concat's may not)
  uint32_t attr_size;
};

extern const OpKind kOpKinds[];
extern const size_t kOpKindCount;

// Null for a number that the format does not define.
const OpKind* FindOpKind(uint16_t id);

}  // namespace ptq

#endif  // PTQ_FORMAT_OP_KINDS_H_
