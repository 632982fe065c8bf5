// max_pool2d and average_pool2d: x [N,H,W,C] -> y [N,OH,OW,C].
#include <inttypes.h>

#include "base/math.h"
#include "kernels/pool/contract.h"
#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 16384;

struct PoolState {
  Window h, w;
  bool maximum, count_include_pad;
  const PoolF32Kernel* f32;
  const PoolF16Kernel* f16;
  const PoolI8Kernel* i8;
  OutputRange range;
  ClampAttrs clamp;
};

template <typename T, typename RunPixel>
void RunPool(const PreparedOp& op, const RunContext& run, RunPixel run_pixel) {
  const PoolState& s = op.State<PoolState>();
  const Tensor &x = *op.Input(0), &y = op.Output();
  const size_t in_h = x.dims[1], in_w = x.dims[2], channels = x.dims[3], out_h = y.dims[1],
               out_w = y.dims[2];
  const T* input = ReadData<T>(x, run);
  auto body = [&](size_t begin, size_t end, size_t thread) {
    const T** rows = reinterpret_cast<const T**>(run.Workspace(thread));
    for (size_t pixel = begin; pixel < end; ++pixel) {
      const size_t n = pixel / (out_h * out_w), oy = pixel / out_w % out_h, ox = pixel % out_w;
      const T* picture = input + n * in_h * in_w * channels;
      int64_t ky, ky_end, kx_begin, kx_end;
      ValidTaps(s.h, oy, in_h, &ky, &ky_end);
      ValidTaps(s.w, ox, in_w, &kx_begin, &kx_end);
      size_t count = 0;
      for (; ky < ky_end; ++ky) {
        const size_t iy = oy * s.h.stride + static_cast<size_t>(ky) * s.h.dilation - s.h.pad_begin;
        for (int64_t kx = kx_begin; kx < kx_end; ++kx) {
          const size_t ix =
              ox * s.w.stride + static_cast<size_t>(kx) * s.w.dilation - s.w.pad_begin;
          rows[count++] = picture + (iy * in_w + ix) * channels;
        }
      }
      run_pixel(rows, count, pixel * channels);
    }
  };
  run.pool->ParallelFor(y.dims[0] * out_h * out_w, kGrainElements / channels + 1, body);
}

size_t Divisor(const PoolState& s, size_t count) {
  return s.count_include_pad ? static_cast<size_t>(s.h.kernel) * s.w.kernel : count;
}

template <typename T>
void RunReal(const PreparedOp& op, const RunContext& run, const PoolRealKernel<T>& kernel) {
  const PoolState& s = op.State<PoolState>();
  const size_t channels = op.Output().dims[3];
  T* y = WriteData<T>(op.Output(), run);
  RunPool<T>(op, run, [&](const T* const* rows, size_t count, size_t at) {
    kernel.run({rows, count, channels, static_cast<float>(Divisor(s, count)), y + at, s.clamp.lo,
                s.clamp.hi});
  });
}

void RunF32(const PreparedOp& op, const RunContext& run) {
  RunReal(op, run, *op.State<PoolState>().f32);
}

void RunF16(const PreparedOp& op, const RunContext& run) {
  RunReal(op, run, *op.State<PoolState>().f16);
}

void RunI8(const PreparedOp& op, const RunContext& run) {
  const PoolState& s = op.State<PoolState>();
  const size_t channels = op.Output().dims[3];
  const float scale_in = op.Input(0)->scales[0], scale_out = op.Output().scales[0];
  const int32_t zero_point = op.Input(0)->zero_point;
  int8_t* y = WriteData<int8_t>(op.Output(), run);
  RunPool<int8_t>(op, run, [&](const int8_t* const* rows, size_t count, size_t at) {
    const float multiplier = scale_in / (scale_out * static_cast<float>(Divisor(s, count)));
    s.i8->run({rows, count, channels, -zero_point * static_cast<int32_t>(count), multiplier, y + at,
               s.range, s.clamp.q_min, s.clamp.q_max});
  });
}

ptq_status CheckPool(const PreparedOp& op, const Pool2dAttrs& attrs, const Window& h,
                     const Window& w, bool maximum) {
  const Tensor &x = *op.Input(0), &y = op.Output();
  if (maximum && attrs.count_include_pad != 0) {
    return Fail(PTQ_BAD_FILE, "count_include_pad: %" PRIu32 " of a maximum",
                attrs.count_include_pad);
  }
  if (!maximum && (attrs.dilation_h != 1 || attrs.dilation_w != 1)) {
    return Fail(PTQ_BAD_FILE, "dilation: %" PRIu32 " x %" PRIu32 " instead of 1 x 1",
                attrs.dilation_h, attrs.dilation_w);
  }
  if (static_cast<uint64_t>(h.kernel) * w.kernel > kMaxWindow) {
    return Fail(PTQ_UNSUPPORTED,
                "kernel: %" PRIu32 " x %" PRIu32 " is more than %" PRIu64 " elements", h.kernel,
                w.kernel, kMaxWindow);
  }
  PTQ_RETURN_IF_ERROR(CheckDim("output", y, 0, x.dims[0]));
  PTQ_RETURN_IF_ERROR(CheckDim("output", y, 3, x.dims[3]));
  PTQ_RETURN_IF_ERROR(CheckWindowOutput("height", h, x.dims[1], y.dims[1]));
  PTQ_RETURN_IF_ERROR(CheckWindowOutput("width", w, x.dims[2], y.dims[2]));
  PTQ_RETURN_IF_ERROR(CheckNoEmptyWindow("height", h, x.dims[1], y.dims[1]));
  PTQ_RETURN_IF_ERROR(CheckNoEmptyWindow("width", w, x.dims[2], y.dims[2]));
  return !maximum && x.dtype == kI8 ? CheckMultiplier("requantization", x.scales[0] / y.scales[0])
                                    : PTQ_OK;
}

}  // namespace

ptq_status PreparePool2d(uint32_t features, PreparedOp* op) {
  const Pool2dAttrs attrs = op->GetAttrs<Pool2dAttrs>();
  const bool maximum = op->op->kind->id == kMaxPool2d, quantized = op->Input(0)->dtype == kI8;
  const Window h = {attrs.kernel_h, attrs.stride_h, attrs.dilation_h, attrs.pad_top,
                    attrs.pad_bottom};
  const Window w = {attrs.kernel_w, attrs.stride_w, attrs.dilation_w, attrs.pad_left,
                    attrs.pad_right};
  PTQ_RETURN_IF_ERROR(CheckPool(*op, attrs, h, w, maximum));
  PoolState* state = op->MakeState<PoolState>();
  if (state == nullptr) return OutOfMemory();
  state->h = h;
  state->w = w;
  state->maximum = maximum;
  state->count_include_pad = attrs.count_include_pad != 0;
  state->clamp = attrs.clamp;
  state->range = MakeOutputRange(op->Output().zero_point, attrs.clamp.q_min, attrs.clamp.q_max);
  if (quantized) {
    state->i8 = maximum ? SelectKernel(kMaxPoolI8Kernels, features)
                        : SelectKernel(kAveragePoolI8Kernels, features);
    op->kernel = state->i8->name;
    op->run = RunI8;
  } else if (op->Input(0)->dtype == kF16) {
    state->f16 = maximum ? SelectKernel(kMaxPoolF16Kernels, features)
                         : SelectKernel(kAveragePoolF16Kernels, features);
    op->kernel = state->f16->name;
    op->run = RunF16;
  } else {
    state->f32 = maximum ? SelectKernel(kMaxPoolF32Kernels, features)
                         : SelectKernel(kAveragePoolF32Kernels, features);
    op->kernel = state->f32->name;
    op->run = RunF32;
  }
  const Tensor& x = *op->Input(0);
  const uint64_t taps = uint64_t{Min(h.kernel, x.dims[1])} * Min(w.kernel, x.dims[2]);
  op->steps = Steps{op->Output().elements} * taps;
  op->TakeWorkspace(sizeof(void*) * taps);
  return PTQ_OK;
}

}  // namespace ptq
