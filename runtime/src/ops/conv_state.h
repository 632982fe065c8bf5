// Convolutions after preparation, with or without a residual; a matrix product is a 1x1 convolution
// of a 1x1 picture. A state has the type of the way that computes it and of the input's elements,
// and so has the function that runs it.
#ifndef PTQ_OPS_CONV_STATE_H_
#define PTQ_OPS_CONV_STATE_H_

#include <type_traits>

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

// Of each output channel, padded with zeros to whole blocks of each group (gemm) or of all channels
// (depthwise). T: the input's elements, float, Half or int8_t, here and below.
template <typename T>
struct ConvChannels {
  Array<T> bias;
};
template <>
struct ConvChannels<int8_t> {
  Array<int32_t> bias;
  Array<float> multiplier;
  bool shifted_sums;   // the bias has kSumShift added
  bool small_results;  // every multiplier is below 1
};

// The operand that is added to a convolution; without a kernel there is none.
template <typename T>
struct Residual {
  const BinaryRealKernel<T>* kernel;
  float lo, hi;
  size_t tile_offset;  // of the tile before the add, in a thread's workspace; bytes
};
template <>
struct Residual<int8_t> {
  const BinaryI8Kernel* kernel;
  BinaryI8Row parameters;
  bool small;  // both multipliers are such as GemmI8Tile::add may have
  size_t tile_offset;
};

// The common part.
template <typename T>
struct ConvState {
  ConvGeometry geometry;
  OutputRange range;
  float lo, hi;
  Pooled<T> weights;
  ConvChannels<T> channels;
  Array<T> padding;  // what taps in the padding point at: in_c zeros or input zero points
  // A copy of a constant input, which in the file has no kReadSlack behind it; empty otherwise.
  Array<T> constant_input;
  Residual<T> residual;

  // x, from the arena or its copy.
  const T* Input(const PreparedOp& op, const RunContext& run) const {
    return constant_input.size() != 0 ? constant_input.data() : ReadData<T>(*op.Input(0), run);
  }
};

// Where a gemm kernel's rows lie.
enum ConvRows : uint8_t {
  kPointwiseRows,  // 1x1, stride 1: the input's own pixels, one after another
  kIndirectRows,   // the input's own pixels, one for each tap
  kLineRows,       // the input's own lines of a window's width, one for each row of the window
  kPatchRows,      // windows copied into the workspace
};

// How the outputs of a gemm are cut.
struct GemmBlocks {
  size_t mr, nr;           // the kernel's
  size_t blocks;           // of nr outputs per group
  size_t panel_blocks;     // blocks whose weights fit in the cache together
  size_t packed_products;  // weights of one output in packed order; winograd: at a position

  size_t Slots() const { return blocks * nr; }
  size_t PanelColumns() const { return panel_blocks * nr; }
};

// And how its rows are made of windows.
struct GemmRows {
  ConvRows kind;
  size_t taps, depth;   // for lines and patches not those of the window
  size_t patch_stride;  // elements from one patch to the next
};

// Sums of more than kProductBlock products (ops/long_sums.h); those of int8 have nothing of it.
template <typename T>
struct LongSums {
  const BinaryRealKernel<T>* add;  // adds up their pieces; null: the sums are short
  size_t piece_offset;             // of a piece in a thread's workspace; bytes
  Array<T> zeros;                  // of a panel: the bias of sums that are no outputs yet
};
template <>
struct LongSums<int8_t> {};

template <typename T>
using GemmKernel = std::conditional_t<std::is_same_v<T, int8_t>, GemmI8Kernel, GemmRealKernel<T>>;

template <typename T>
struct GemmState : ConvState<T> {
  const GemmKernel<T>* kernel;
  GemmBlocks cut;
  GemmRows rows;
  size_t scratch_offset;  // of the kernel's scratch in a thread's workspace; bytes
  LongSums<T> long_sums;
};

template <typename T>
using DepthwiseKernelOf = std::conditional_t<std::is_same_v<T, int8_t>, DepthwiseI8Kernel,
                                             DepthwiseKernel<T, DepthwiseRealRow<T>>>;

template <typename T>
struct DepthwiseState : ConvState<T> {
  const DepthwiseKernelOf<T>* kernel;
  DepthwiseShape shape;
};

struct WinogradState : ConvState<float> {
  const WinogradKernel* kernel;
  const GemmF32Kernel* gemm;  // of the products
  GemmBlocks cut;
  size_t tiles;  // of a block, at most
  // In a thread's workspace, bytes: the gemm's scratch, transformed windows, sums, and where pixels
  // go that the output does not have.
  size_t scratch_offset, windows_offset, sums_offset, unused_offset;
  LongSums<float> long_sums;
};

// Runs what PrepareGemm prepared.
template <typename T>
void RunGemmConvolution(const PreparedOp& op, const RunContext& run);

// Adds the residual to `tile`, [rows][columns], and writes the sum to the output, where
// the first pixel begins at element `at` and pixels are out_c apart.
template <typename T>
void AddResidual(const PreparedOp& op, const RunContext& run, const ConvState<T>& state,
                 const void* tile, size_t at, size_t rows, size_t columns);

}  // namespace ptq

#endif  // PTQ_OPS_CONV_STATE_H_
