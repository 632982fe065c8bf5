// conv2d: x [N,H,W,C], w [O,KH,KW,C/groups], (b [O]) -> y [N,OH,OW,O].
#include <inttypes.h>

#include "ops/conv_state.h"
#include "ops/registry.h"

namespace ptq {

ptq_status PrepareConv2d(uint32_t features, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &w = *op->Input(1), &y = op->Output();
  const Tensor* b = op->Input(2);
  const Conv2dAttrs attrs = op->GetAttrs<Conv2dAttrs>();
  PTQ_RETURN_IF_ERROR(CheckRank("x", x, 4));
  PTQ_RETURN_IF_ERROR(CheckRank("w", w, 4));
  PTQ_RETURN_IF_ERROR(CheckRank("output", y, 4));
  const Window h = {w.dims[1], attrs.stride_h, attrs.dilation_h, attrs.pad_top, attrs.pad_bottom};
  const Window v = {w.dims[2], attrs.stride_w, attrs.dilation_w, attrs.pad_left, attrs.pad_right};
  PTQ_RETURN_IF_ERROR(CheckWindow("height", h));
  PTQ_RETURN_IF_ERROR(CheckWindow("width", v));
  if (attrs.groups < 1 || x.dims[3] % attrs.groups != 0 || w.dims[0] % attrs.groups != 0) {
    return Fail(PTQ_BAD_FILE,
                "groups: %" PRIu32 " does not divide C = %" PRIu32 " and O = %" PRIu32,
                attrs.groups, x.dims[3], w.dims[0]);
  }
  PTQ_RETURN_IF_ERROR(CheckDim("w", w, 3, x.dims[3] / attrs.groups));
  if (b != nullptr) {
    PTQ_RETURN_IF_ERROR(CheckRank("b", *b, 1));
    PTQ_RETURN_IF_ERROR(CheckDim("b", *b, 0, w.dims[0]));
  }
  PTQ_RETURN_IF_ERROR(CheckDim("output", y, 0, x.dims[0]));
  PTQ_RETURN_IF_ERROR(CheckWindowOutput("height", h, x.dims[1], y.dims[1]));
  PTQ_RETURN_IF_ERROR(CheckWindowOutput("width", v, x.dims[2], y.dims[2]));
  PTQ_RETURN_IF_ERROR(CheckDim("output", y, 3, w.dims[0]));
  const ConvGeometry geometry = {x.dims[0], x.dims[1], x.dims[2],    x.dims[3], y.dims[1],
                                 y.dims[2], y.dims[3], attrs.groups, h,         v};
  return PrepareConvolution(features, geometry, attrs.clamp, op);
}

}  // namespace ptq
