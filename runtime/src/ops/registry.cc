// The table of operators.
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr OpImplementation kImplementations[] = {
    {kConv2dAdd, PrepareConv2dAdd},
    {kConv2d, PrepareConv2d},
    {kFullyConnected, PrepareFullyConnected},
    {kAdd, PrepareBinary},
    {kSub, PrepareBinary},
    {kMul, PrepareBinary},
    {kDiv, PrepareBinary},
    {kMaxPool2d, PreparePool2d},
    {kAveragePool2d, PreparePool2d},
    {kConcat, PrepareConcat},
    {kSoftmax, PrepareSoftmax},
    {kQuantize, PrepareQuantize},
    {kDequantize, PrepareDequantize},
    {kClamp, PrepareClamp},
    {kTranspose, PrepareTranspose},
    {kReshape, PrepareReshape},
    {kPad, PreparePad},
    {kUnary, PrepareUnary},
    {kLookup, PrepareLookup},
    {kMaximum, PrepareBinary},
    {kMinimum, PrepareBinary},
    {kPow, PrepareBinary},
    {kResize, PrepareResize},
    {kSlice, PrepareSlice},
    {kGather, PrepareGather},
    {kReduce, PrepareReduce},
    {kDilate, PrepareDilate},
    {kArgMax, PrepareArgMax},
};

}  // namespace

const OpImplementation* FindOpImplementation(uint16_t kind) {
  for (const OpImplementation& implementation : kImplementations) {
    if (implementation.kind == kind) return &implementation;
  }
  return nullptr;
}

}  // namespace ptq
