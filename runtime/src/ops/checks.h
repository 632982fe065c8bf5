// Checks that several operators share. Messages continue "operator 3 'body/dw3' (conv2d) ...".
#ifndef PTQ_OPS_CHECKS_H_
#define PTQ_OPS_CHECKS_H_

#include "ops/op.h"

namespace ptq {

// Sizes of attributes beyond this are refused as unreasonable; it also keeps all index arithmetic
// inside 64 bits.
constexpr uint32_t kMaxGeometry = 65535;

ptq_status CheckClamp(const ClampAttrs& clamp);
ptq_status CheckDType(const char* what, const Tensor& tensor,
                      uint32_t allowed_mask);  // mask of 1 << DType
ptq_status CheckRank(const char* what, const Tensor& tensor, uint32_t rank);
ptq_status CheckDim(const char* what, const Tensor& tensor, uint32_t axis, uint64_t expected);
ptq_status CheckSameShape(const Tensor& x, const Tensor& y);
ptq_status CheckSameQparams(const Tensor& x,
                            const Tensor& y);  // for operators that move or compare int8
ptq_status CheckConstant(const char* what, const Tensor& tensor);
ptq_status CheckUnquantized(const char* what, const Tensor& tensor);
// One scale: activations are never quantized per channel.
ptq_status CheckPerTensor(const char* what, const Tensor& tensor);
// A factor computed from scales must be finite: scales of a hostile file can overflow it.
ptq_status CheckMultiplier(const char* what, float multiplier);
// The refusal where a list has no kernel for an operator on `dtype`: portable ones, which no
// tailoring leaves out, are not for f16.
ptq_status NoKernel(uint8_t dtype);

// One dimension of a convolution or pooling.
struct Window {
  uint32_t kernel, stride, dilation, pad_begin, pad_end;
};
// Of weights: that of a pooling is an attribute.
ptq_status CheckKernel(const char* axis, const Window& window);
// Checks `output` = floor((input + pads - effective kernel) / stride) + 1.
ptq_status CheckWindowOutput(const char* axis, const Window& window, uint32_t input,
                             uint32_t output);
// The taps k in [*begin, *end) of output position `o` that lie inside the input; empty (begin >=
// end) if none does.
inline void ValidTaps(const Window& window, int64_t o, int64_t input, int64_t* begin,
                      int64_t* end) {
  const int64_t dilation = window.dilation;
  const int64_t start = o * window.stride - window.pad_begin;
  *begin = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
  const int64_t past = start >= input ? 0 : (input - start + dilation - 1) / dilation;
  *end = past < window.kernel ? past : window.kernel;
}

// Only windows that start in the padding can miss the input: the others hold it with their first
// tap.
ptq_status CheckNoEmptyWindow(const char* axis, const Window& window, uint32_t input,
                              uint32_t output);

// Elements of a window, or of a mean: their int32 sum is exact, their count a float without
// rounding.
constexpr uint64_t kMaxWindow = 1u << 22;

// The product of the dimensions before, of, and after `axis`.
inline void SplitAtAxis(const Tensor& tensor, uint32_t axis, size_t* outer, size_t* count,
                        size_t* inner) {
  *outer = *inner = 1;
  for (uint32_t d = 0; d < axis; ++d) *outer *= tensor.dims[d];
  *count = tensor.dims[axis];
  for (uint32_t d = axis + 1; d < tensor.rank; ++d) *inner *= tensor.dims[d];
}

}  // namespace ptq

#endif  // PTQ_OPS_CHECKS_H_
