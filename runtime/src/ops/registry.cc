// The table of operators, and preparing by it.
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr OpImplementation kImplementations[] = {
    {kConv2dAdd, PrepareConv2dAdd, kCpuFp16},
    {kConv2d, PrepareConv2d, kCpuFp16},
    {kFullyConnected, PrepareFullyConnected, kCpuFp16},
    {kAdd, PrepareBinary, kCpuFp16},
    {kSub, PrepareBinary, kCpuFp16},
    {kMul, PrepareBinary, kCpuFp16},
    {kDiv, PrepareBinary, kCpuFp16},
    {kMaxPool2d, PreparePool2d, kCpuFp16},
    {kAveragePool2d, PreparePool2d, kCpuFp16},
    {kConcat, PrepareConcat, kCpuScalar},
    {kSoftmax, PrepareSoftmax},
    {kQuantize, PrepareQuantize},
    {kDequantize, PrepareDequantize},
    {kClamp, PrepareClamp, kCpuScalar},
    {kTranspose, PrepareTranspose},
    {kReshape, PrepareReshape, kCpuScalar},
    {kPad, PreparePad},
    {kUnary, PrepareUnary, kCpuFp16},
    {kLookup, PrepareLookup},
    {kMaximum, PrepareBinary, kCpuFp16},
    {kMinimum, PrepareBinary, kCpuFp16},
    {kPow, PrepareBinary},
    {kResize, PrepareResize},
    {kSlice, PrepareSlice},
    {kGather, PrepareGather},
    {kReduce, PrepareReduce},
    {kDilate, PrepareDilate},
    {kArgMax, PrepareArgMax},
    {kConvert, PrepareConvert, kCpuScalar},
};

bool OnlyF16(const PreparedOp& op) {
  for (uint32_t i = 0; i < op.op->input_count; ++i) {
    const Tensor* x = op.Input(i);
    if (x != nullptr && x->dtype != kF16) return false;
  }
  return op.Output().dtype == kF16;
}

}  // namespace

const OpImplementation* FindOpImplementation(uint16_t kind) {
  for (const OpImplementation& implementation : kImplementations) {
    if (implementation.kind == kind) return &implementation;
  }
  return nullptr;
}

ptq_status PrepareOp(const OpImplementation& implementation, uint32_t features, PreparedOp* op) {
  // An operator that has no f16 form, or one of mixed types, is refused by its own checks.
  const bool native = (implementation.f16_features & ~features) == 0;
  if (native || implementation.f16_features == kNoF16 || !OnlyF16(*op))
    return implementation.prepare(features, op);
  return PrepareThroughF32(features, op);
}

}  // namespace ptq
