// How long a run may take, from shapes alone: the elementary steps of an operator.
#include <string.h>

#include "base/math.h"
#include "format/flat_file.h"

namespace ptq {
namespace {

// Sums and products that stay at the largest number once they have reached it.
struct Steps {
  uint64_t value;

  Steps operator*(uint64_t other) const {
    uint64_t product;
    return {Multiply(value, other, &product) ? product : UINT64_MAX};
  }
  Steps operator+(Steps other) const {
    uint64_t sum;
    return {__builtin_add_overflow(value, other.value, &sum) ? UINT64_MAX : sum};
  }
};

// Products of a convolution, and the pointers to its input that are laid out for each row.
Steps ConvolutionSteps(const Tensor& x, const Tensor& w, const Tensor& y,
                       const Conv2dAttrs& attrs) {
  const uint64_t width = uint64_t{x.dims[2]} + attrs.pad_left + attrs.pad_right;
  return Steps{y.elements} * (w.elements / w.dims[0]) +
         Steps{width} * w.dims[1] * y.dims[0] * y.dims[1];
}

}  // namespace

uint64_t OperatorWork(const FlatFile& file, const Operator& op) {
  const Tensor &x = file.tensors[op.inputs[0]], &y = file.tensors[op.outputs[0]];
  Steps steps = {y.elements};
  for (uint32_t i = 0; i < op.input_count; ++i) {
    if (op.inputs[i] != kNone) steps = steps + Steps{file.tensors[op.inputs[i]].elements};
  }
  switch (op.kind->id) {
    case kConv2d:
    case kConv2dAdd: {  // both begin with the attributes of a convolution
      Conv2dAttrs attrs;
      memcpy(&attrs, op.attrs, sizeof attrs);
      return (steps + ConvolutionSteps(x, file.tensors[op.inputs[1]], y, attrs)).value;
    }
    case kFullyConnected:
      return (steps + Steps{y.elements} * x.dims[1]).value;
    case kMaxPool2d:
    case kAveragePool2d: {
      Pool2dAttrs attrs;
      memcpy(&attrs, op.attrs, sizeof attrs);
      return (steps +
              Steps{y.elements} * Min(attrs.kernel_h, x.dims[1]) * Min(attrs.kernel_w, x.dims[2]))
          .value;
    }
    default:
      return steps.value;
  }
}

}  // namespace ptq
