// Convolutions after preparation: geometry, the chosen kernel, packed weights. conv2d (general and
// depthwise) and fully_connected (a 1x1 convolution on a 1x1 picture) share it.
#ifndef PTQ_OPS_CONV_STATE_H_
#define PTQ_OPS_CONV_STATE_H_

#include "base/pool.h"
#include "kernels/depthwise/contract.h"
#include "kernels/elementwise/contract.h"
#include "kernels/gemm/contract.h"
#include "kernels/winograd/contract.h"
#include "ops/checks.h"
#include "ops/op.h"

namespace ptq {

struct ConvGeometry {
  size_t batch, in_h, in_w, in_c, out_h, out_w, out_c, groups;
  Window h, w;

  size_t Taps() const { return static_cast<size_t>(h.kernel) * w.kernel; }
  size_t GroupInputs() const { return in_c / groups; }
  size_t GroupOutputs() const { return out_c / groups; }
};

// Where a gemm kernel's rows lie.
enum ConvRows : uint8_t {
  kPointwiseRows,  // 1x1, stride 1: the input's own pixels, one after another
  kIndirectRows,   // the input's own pixels, one for each tap
  kLineRows,       // the input's own lines of a window's width, one for each row of the window
  kPatchRows,      // windows copied into the workspace
};

// What a convolution writes before anything is added to it: the operator's output, or for
// conv2d_add a tensor that exists a tile at a time in the workspace.
struct ConvOutput {
  DType dtype;
  float scale;  // of i8
  int32_t zero_point;
  ClampAttrs clamp;
};

// The add of conv2d_add; one of the three kernels is set, none for other operators.
struct Residual {
  const BinaryF32Kernel* f32;
  const BinaryF16Kernel* f16;
  const BinaryI8Kernel* i8;
  BinaryI8Row i8_parameters;
  bool small;    // i8: both multipliers are such as GemmI8Tile::add may have
  float lo, hi;  // of f32 and f16

  bool Present() const { return f32 != nullptr || f16 != nullptr || i8 != nullptr; }
};

struct ConvState {
  ConvGeometry geometry;
  // One of the six is set; gemm_f32 also computes the products of winograd.
  const GemmF32Kernel* gemm_f32;
  const GemmF16Kernel* gemm_f16;
  const GemmI8Kernel* gemm_i8;
  const DepthwiseF32Kernel* depthwise_f32;
  const DepthwiseF16Kernel* depthwise_f16;
  const DepthwiseI8Kernel* depthwise_i8;

  // gemm
  ConvRows rows;
  size_t mr, nr;                 // the kernel's
  size_t gemm_taps, gemm_depth;  // for lines and patches not those of the window
  size_t patch_stride;           // elements from one patch to the next
  size_t blocks;                 // of nr outputs per group
  size_t panel_blocks;           // blocks whose weights fit in the cache together
  size_t packed_products;        // weights of one output in packed order; winograd: at a position
  size_t scratch_offset;         // of the kernel's scratch in a thread's workspace; bytes
  // Float sums of more than kProductBlock products: what adds up their pieces, null otherwise, and
  // where one lies in a thread's workspace, in bytes.
  const BinaryF32Kernel* add_pieces;
  size_t piece_offset;
  Array<float> zeros;  // of a panel: the bias of sums that are no outputs yet
  // depthwise
  DepthwiseShape depthwise_shape;
  // winograd, whose sums gemm_f32 computes; null otherwise
  const WinogradKernel* winograd;
  size_t winograd_tiles;  // of a block, at most
  // In a thread's workspace, bytes: transformed windows, sums, and where pixels go that the output
  // does not have.
  size_t winograd_windows, winograd_sums, winograd_unused;

  // Per output channel, padded with zeros to whole blocks of each group (gemm) or of all channels
  // (depthwise).
  Pooled<float> weights_f32;
  Pooled<Half> weights_f16;
  Pooled<int8_t> weights_i8;
  Array<float> bias_f32, multiplier;
  Array<Half> bias_f16;
  Array<int32_t> bias_i32;
  bool shifted_sums;   // the bias has kSumShift added
  bool small_results;  // every multiplier is below 1
  // What taps in the padding point at: in_c zeros or input zero points.
  Array<float> padding_f32;
  Array<Half> padding_f16;
  Array<int8_t> padding_i8;
  // A copy of a constant input, which in the file has no kReadSlack behind it; empty otherwise.
  Array<float> input_f32;
  Array<Half> input_f16;
  Array<int8_t> input_i8;

  OutputRange range;
  float lo, hi;
  Residual residual;
  size_t tile_offset;  // of the tile before the add, in a thread's workspace; bytes
};

// Fills op->state for inputs x, w and `b` (may be null) that were checked to fit `geometry`; checks
// the quantization parameters.
ptq_status PrepareConvolution(uint32_t features, const ConvGeometry& geometry,
                              const ConvOutput& output, const Tensor* b, PreparedOp* op);

// Whether a float convolution takes Winograd's way, and its part of PrepareConvolution.
bool SuitsWinograd(const ConvGeometry& geometry);
ptq_status PrepareWinograd(uint32_t features, const Tensor* b, PreparedOp* op);

// conv2d_add, after PrepareConvolution.
ptq_status PrepareResidual(uint32_t features, const Conv2dAddAttrs& attrs, PreparedOp* op);

// The operator's own output with `clamp`.
ConvOutput PlainOutput(const PreparedOp& op, const ClampAttrs& clamp);

// The run functions, set by PrepareConvolution.
void RunGemmConvolution(const PreparedOp& op, const RunContext& run);
void RunDepthwiseConvolution(const PreparedOp& op, const RunContext& run);
void RunWinogradConvolution(const PreparedOp& op, const RunContext& run);

// conv2d_add: adds the residual to `tile`, [rows][columns], and writes the sum to the output, where
// the first pixel begins at element `at` and pixels are out_c apart.
void AddResidual(const PreparedOp& op, const RunContext& run, const void* tile, size_t at,
                 size_t rows, size_t columns);

// x, from the arena or its copy.
template <typename T>
const T* InputData(const PreparedOp& op, const RunContext& run, const Array<T>& copy) {
  return copy.size() != 0 ? copy.data() : ReadData<T>(*op.Input(0), run);
}

}  // namespace ptq

#endif  // PTQ_OPS_CONV_STATE_H_
