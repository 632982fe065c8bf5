// fully_connected: x [N,K], w [O,K], (b [O]) -> y [N,O]; run as a 1x1 convolution of N pictures of
// one pixel.
#include "ops/conv_prepare.h"
#include "ops/registry.h"

namespace ptq {

ptq_status PrepareFullyConnected(uint32_t features, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &w = *op->Input(1), &y = op->Output();
  const Tensor* b = op->Input(2);
  PTQ_RETURN_IF_ERROR(CheckDim("w", w, 1, x.dims[1]));
  PTQ_RETURN_IF_ERROR(CheckDim("output", y, 0, x.dims[0]));
  PTQ_RETURN_IF_ERROR(CheckDim("output", y, 1, w.dims[0]));
  if (b != nullptr) PTQ_RETURN_IF_ERROR(CheckDim("b", *b, 0, w.dims[0]));
  op->steps = Steps{y.elements} * x.dims[1];
  const Window point = {1, 1, 1, 0, 0};
  const ConvGeometry geometry = {x.dims[0], 1, 1, x.dims[1], 1, 1, y.dims[1], 1, point, point};
  return PrepareConvolution(features,
                            {geometry, PlainOutput(*op, op->GetAttrs<ClampAttrs>()), x, w, b}, op);
}

}  // namespace ptq
