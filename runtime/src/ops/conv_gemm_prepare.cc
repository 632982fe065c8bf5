// Preparing a convolution as an indirect gemm: rows, panels, packed weights.
#include "base/math.h"
#include "kernels/gemm/pack.h"
#include "ops/conv_prepare.h"
#include "ops/long_sums.h"
#include "ops/panels.h"

namespace ptq {
namespace {

// Windows of fewer channels than this become lines or patches: a tap of a few channels would leave
// most of a vector empty, and a kernel's loop with nothing to do.
constexpr size_t kPatchDepth = 16;

// How a kernel's rows are made from the input.
GemmRows ChooseRows(const ConvGeometry& g, size_t kd, size_t element_size) {
  GemmRows rows = {kIndirectRows, g.Taps(), g.GroupInputs(), 0};
  if (g.Taps() == 1 && g.h.stride == 1 && g.w.stride == 1 && g.out_h == g.in_h &&
      g.out_w == g.in_w) {
    rows.kind = kPointwiseRows;
  } else if (g.Taps() > 1 && g.GroupInputs() < kPatchDepth) {
    // A kernel that takes channels one by one needs no copy where a line of the window is one piece
    // of memory.
    const bool lines = kd == 1 && g.groups == 1 && g.w.dilation == 1;
    rows.kind = lines ? kLineRows : kPatchRows;
    rows.taps = lines ? g.h.kernel : 1;
    rows.depth = g.Taps() * g.GroupInputs() / rows.taps;
    // A copy in whole chunks writes up to 15 bytes beyond its patch.
    const size_t patch = g.Taps() * g.GroupInputs() * element_size + 15;
    rows.patch_stride = CeilDiv(patch, kAlignment) * kAlignment / element_size;
  }
  return rows;
}

// How much weight the kernel takes at a time.
template <typename Kernel>
GemmBlocks ChooseBlocks(const ConvGeometry& g, const GemmRows& rows, const Kernel& kernel,
                        size_t element_size) {
  const size_t nr = kernel.nr, least_columns = kernel.packs_rows ? kPackedRowColumns : 1;
  GemmBlocks cut = {kernel.mr, nr, CeilDiv(g.GroupOutputs(), nr), 0,
                    PackedGemmProducts(rows.taps, rows.depth, kernel.kd)};
  // Patches are made once per panel: all channels at once.
  cut.panel_blocks = rows.patch_stride != 0
                         ? cut.blocks
                         : PanelBlocks(uint64_t{cut.packed_products} * nr * element_size, nr,
                                       least_columns, cut.blocks);
  return cut;
}

// Packs all groups.
template <typename T>
ptq_status PackGroups(const Convolution& conv, const PreparedOp& op, GemmState<T>* state) {
  const ConvGeometry& g = conv.geometry;
  const GemmBlocks& cut = state->cut;
  const GemmRows& rows = state->rows;
  const size_t kr = state->kernel->kr, kd = state->kernel->kd, outputs = g.GroupOutputs(),
               products = g.Taps() * g.GroupInputs();
  uint64_t all_slots = 0, packed_size = 0;
  if (!Multiply(g.groups, cut.Slots(), &all_slots) ||
      !Multiply(all_slots, cut.packed_products, &packed_size) || packed_size > SIZE_MAX / 8)
    return OutOfMemory();
  const PackingKey key = {
      conv.w.data,
      {sizeof(T), g.groups, outputs, cut.Slots(), rows.taps, rows.depth, cut.nr, kr, kd}};
  // Both readers count these once however many read them (docs/flat_format.md), and nothing else.
  const bool shares = op.op->kind->packs_once;
  if (shares && op.packings->Find(key, &state->weights)) return PTQ_OK;
  PTQ_RETURN_IF_ERROR(op.pool->Allocate(static_cast<size_t>(packed_size), &state->weights));
  const T* weights = static_cast<const T*>(conv.w.data);
  for (size_t group = 0; group < g.groups; ++group) {
    PackGemmWeights(weights + group * outputs * products, outputs, rows.taps, rows.depth, cut.nr,
                    kr, kd, state->weights.data() + group * cut.Slots() * cut.packed_products);
  }
  if (shares) op.packings->Remember(key, &state->weights);
  return PTQ_OK;
}

const KernelList<GemmF32Kernel>& Kernels(float) { return kGemmF32Kernels; }
const KernelList<GemmF16Kernel>& Kernels(Half) { return kGemmF16Kernels; }
const KernelList<GemmI8Kernel>& Kernels(int8_t) { return kGemmI8Kernels; }

}  // namespace

template <typename T>
ptq_status PrepareGemm(uint32_t features, const Convolution& conv, PreparedOp* op) {
  auto* state = MakeConvState<GemmState<T>>(conv, op);
  if (state == nullptr) return OutOfMemory();
  const ConvGeometry& g = conv.geometry;
  state->kernel = SelectKernel(Kernels(T{}), features);
  if (state->kernel == nullptr) return NoKernel(conv.x.dtype);
  const GemmKernel<T>& kernel = *state->kernel;
  state->rows = ChooseRows(g, kernel.kd, sizeof(T));
  state->cut = ChooseBlocks(g, state->rows, kernel, sizeof(T));
  const GemmRows& rows = state->rows;
  const GemmBlocks& cut = state->cut;
  PTQ_RETURN_IF_ERROR(PackGroups(conv, *op, state));
  const ChannelSlots slots = {g.groups, g.GroupOutputs(), cut.Slots()};
  PTQ_RETURN_IF_ERROR(PrepareChannels(conv, slots, kernel, &state->channels));
  op->run = RunGemmConvolution<T>;
  op->weights = {state->weights.data(), state->weights.size() * sizeof(T)};
  op->kernel = kernel.name;
  const uint64_t mr = cut.mr;
  op->TakeWorkspace(mr * rows.taps * sizeof(void*) + mr * rows.patch_stride * sizeof(T) +
                    kReadSlack);
  if constexpr (!std::is_same_v<T, int8_t>) {
    const size_t products = ProductsAtATime(rows.taps * rows.depth);
    state->scratch_offset =
        op->TakeWorkspace(uint64_t{sizeof(T)} * kernel.ScratchElements(products));
    PTQ_RETURN_IF_ERROR(PrepareLongSums(features, cut, op, &state->long_sums));
  }
  // A pixel or a line.
  PTQ_RETURN_IF_ERROR(PrepareInput(conv.x, Max(g.in_c, rows.depth), state));
  return PrepareResidual(features, conv, mr * cut.PanelColumns(), op, &state->residual);
}

template ptq_status PrepareGemm<float>(uint32_t, const Convolution&, PreparedOp*);
template ptq_status PrepareGemm<Half>(uint32_t, const Convolution&, PreparedOp*);
template ptq_status PrepareGemm<int8_t>(uint32_t, const Convolution&, PreparedOp*);

}  // namespace ptq
