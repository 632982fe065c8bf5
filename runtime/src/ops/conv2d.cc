// conv2d: x [N,H,W,C], w [O,KH,KW,C/groups], (b [O]) -> y [N,OH,OW,O].
// conv2d_add: x, w, r [N,OH,OW,O], (b) -> y: the same, and r is added to it.
#include <inttypes.h>
#include <math.h>

#include "ops/conv_prepare.h"
#include "ops/registry.h"

namespace ptq {

namespace {

static_assert(offsetof(Conv2dAddAttrs, conv_clamp) == offsetof(Conv2dAttrs, clamp),
              "a conv2d_add begins with the attributes of a conv2d");

ptq_status CheckShapes(const PreparedOp& op, const Conv2dAttrs& attrs, const Tensor* b,
                       ConvGeometry* geometry) {
  const Tensor &x = *op.Input(0), &w = *op.Input(1), &y = op.Output();
  const Window h = {w.dims[1], attrs.stride_h, attrs.dilation_h, attrs.pad_top, attrs.pad_bottom};
  const Window v = {w.dims[2], attrs.stride_w, attrs.dilation_w, attrs.pad_left, attrs.pad_right};
  PTQ_RETURN_IF_ERROR(CheckKernel("height", h));
  PTQ_RETURN_IF_ERROR(CheckKernel("width", v));
  if (attrs.groups < 1 || x.dims[3] % attrs.groups != 0 || w.dims[0] % attrs.groups != 0) {
    return Fail(PTQ_BAD_FILE,
                "groups: %" PRIu32 " does not divide C = %" PRIu32 " and O = %" PRIu32,
                attrs.groups, x.dims[3], w.dims[0]);
  }
  PTQ_RETURN_IF_ERROR(CheckDim("w", w, 3, x.dims[3] / attrs.groups));
  if (b != nullptr) PTQ_RETURN_IF_ERROR(CheckDim("b", *b, 0, w.dims[0]));
  PTQ_RETURN_IF_ERROR(CheckDim("output", y, 0, x.dims[0]));
  PTQ_RETURN_IF_ERROR(CheckWindowOutput("height", h, x.dims[1], y.dims[1]));
  PTQ_RETURN_IF_ERROR(CheckWindowOutput("width", v, x.dims[2], y.dims[2]));
  PTQ_RETURN_IF_ERROR(CheckDim("output", y, 3, w.dims[0]));
  *geometry = {x.dims[0], x.dims[1], x.dims[2],    x.dims[3], y.dims[1],
               y.dims[2], y.dims[3], attrs.groups, h,         v};
  return PTQ_OK;
}

// Products, and the pointers to the input that are laid out for each row.
Steps ConvolutionSteps(const PreparedOp& op, const Conv2dAttrs& attrs) {
  const Tensor &x = *op.Input(0), &w = *op.Input(1), &y = op.Output();
  const uint64_t width = uint64_t{x.dims[2]} + attrs.pad_left + attrs.pad_right;
  return Steps{y.elements} * (w.elements / w.dims[0]) +
         Steps{width} * w.dims[1] * y.dims[0] * y.dims[1];
}

}  // namespace

ptq_status PrepareConv2d(uint32_t features, PreparedOp* op) {
  const Conv2dAttrs attrs = op->GetAttrs<Conv2dAttrs>();
  const Tensor* b = op->Input(2);
  ConvGeometry geometry;
  PTQ_RETURN_IF_ERROR(CheckShapes(*op, attrs, b, &geometry));
  op->steps = ConvolutionSteps(*op, attrs);
  return PrepareConvolution(
      features, {geometry, PlainOutput(*op, attrs.clamp), *op->Input(0), *op->Input(1), b}, op);
}

ptq_status PrepareConv2dAdd(uint32_t features, PreparedOp* op) {
  const Conv2dAddAttrs attrs = op->GetAttrs<Conv2dAddAttrs>();
  const Conv2dAttrs conv = op->GetAttrs<Conv2dAttrs>();
  const Tensor *r = op->Input(2), *b = op->Input(3);
  const Tensor& y = op->Output();
  ConvGeometry geometry;
  PTQ_RETURN_IF_ERROR(CheckShapes(*op, conv, b, &geometry));
  op->steps = ConvolutionSteps(*op, conv);
  PTQ_RETURN_IF_ERROR(CheckSameShape(*r, y));
  const ConvOutput output = {y.dtype, attrs.scale, attrs.zero_point, attrs.conv_clamp};
  return PrepareConvolution(features, {geometry, output, *op->Input(0), *op->Input(1), b, &attrs},
                            op);
}

}  // namespace ptq
