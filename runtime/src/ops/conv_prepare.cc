// Preparing a convolution: which way computes it.
#include "ops/conv_prepare.h"

#include "kernels/winograd/error.h"

namespace ptq {
namespace {

template <typename T>
ptq_status Prepare(uint32_t features, const Convolution& conv, PreparedOp* op) {
  const ConvGeometry& g = conv.geometry;
  if (g.groups == g.in_c && g.out_c == g.in_c && g.groups > 1)
    return PrepareDepthwise<T>(features, conv, op);
  if constexpr (std::is_same_v<T, float>) {
    if (SuitsWinograd(g) &&
        WinogradKeepsDigits(static_cast<const float*>(conv.w.data), g.out_c, g.in_c))
      return PrepareWinograd(features, conv, op);
  }
  return PrepareGemm<T>(features, conv, op);
}

}  // namespace

ConvOutput PlainOutput(const PreparedOp& op, const ClampAttrs& clamp) {
  const Tensor& y = op.Output();
  return {y.dtype, y.scale_count != 0 ? y.scales[0] : 1.0f, y.zero_point, clamp};
}

ptq_status PrepareConvolution(uint32_t features, const Convolution& conv, PreparedOp* op) {
  switch (conv.x.dtype) {
    case kF32:
      return Prepare<float>(features, conv, op);
    case kF16:
      return Prepare<Half>(features, conv, op);
    default:
      return Prepare<int8_t>(features, conv, op);
  }
}

}  // namespace ptq
