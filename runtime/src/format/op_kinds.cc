// The operator table of docs/flat_format.md.
#include "format/op_kinds.h"

#include "format/layout.h"

namespace ptq {

const OpKind kOpKinds[] = {
    {kConv2d, "conv2d", 2, 3, sizeof(Conv2dAttrs)},
    {kFullyConnected, "fully_connected", 2, 3, sizeof(ClampAttrs)},
    {kAdd, "add", 2, 2, sizeof(ClampAttrs)},
    {kSub, "sub", 2, 2, sizeof(ClampAttrs)},
    {kMul, "mul", 2, 2, sizeof(ClampAttrs)},
    {kDiv, "div", 2, 2, sizeof(ClampAttrs)},
    {kMaxPool2d, "max_pool2d", 1, 1, sizeof(Pool2dAttrs)},
    {kAveragePool2d, "average_pool2d", 1, 1, sizeof(Pool2dAttrs)},
    {kConcat, "concat", 1, 0xFFFF, sizeof(ConcatAttrs)},
    {kSoftmax, "softmax", 1, 1, sizeof(SoftmaxAttrs)},
    {kQuantize, "quantize", 1, 1, 0},
    {kDequantize, "dequantize", 1, 1, 0},
    {kClamp, "clamp", 1, 1, sizeof(ClampAttrs)},
    {kTranspose, "transpose", 1, 1, sizeof(TransposeAttrs)},
    {kReshape, "reshape", 1, 1, 0},
    {kPad, "pad", 1, 1, sizeof(PadAttrs)},
    {kUnary, "unary", 1, 1, sizeof(UnaryAttrs)},
    {kLookup, "lookup", 2, 2, 0},
    {kMaximum, "maximum", 2, 2, sizeof(ClampAttrs)},
    {kMinimum, "minimum", 2, 2, sizeof(ClampAttrs)},
    {kPow, "pow", 2, 2, sizeof(ClampAttrs)},
    {kResize, "resize", 1, 1, sizeof(ResizeAttrs)},
    {kSlice, "slice", 1, 1, sizeof(SliceAttrs)},
    {kGather, "gather", 2, 2, sizeof(GatherAttrs)},
    {kReduce, "reduce", 1, 1, sizeof(ReduceAttrs)},
    {kDilate, "dilate", 1, 1, sizeof(DilateAttrs)},
    {kArgMax, "arg_max", 1, 1, sizeof(ArgMaxAttrs)},
    {kConv2dAdd, "conv2d_add", 3, 4, sizeof(Conv2dAddAttrs)},
    {kConvert, "convert", 1, 1, 0},
};
const size_t kOpKindCount = sizeof kOpKinds / sizeof kOpKinds[0];

const OpKind* FindOpKind(uint16_t id) {
  for (const OpKind& kind : kOpKinds) {
    if (kind.id == id) return &kind;
  }
  return nullptr;
}

}  // namespace ptq
