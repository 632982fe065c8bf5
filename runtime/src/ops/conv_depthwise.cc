// Running a depthwise convolution: collect the input columns of one output row, call the kernel.
#include "base/math.h"
#include "ops/conv_state.h"

namespace ptq {
namespace {

// Less than this on a thread is not worth waking it, in multiply-accumulates.
constexpr size_t kGrainMacs = 16384;

// columns[x][ky] for output row `row` (of all pictures): input pixels, or `padding`. Written
// without a condition in the inner loops: for narrow pictures of few channels they cost as much as
// the kernel.
template <typename T>
void CollectColumns(const ConvGeometry& g, const T* input, const T* padding, size_t row,
                    size_t count, const T** columns) {
  const T* picture = input + row / g.out_h * g.in_h * g.in_w * g.in_c;
  const size_t left = Min<size_t>(g.w.pad_begin, count), right = Min(left + g.in_w, count);
  int64_t y = static_cast<int64_t>(row % g.out_h * g.h.stride) - g.h.pad_begin;
  for (uint32_t ky = 0; ky < g.h.kernel; ++ky, y += g.h.dilation) {
    const bool inside = y >= 0 && y < static_cast<int64_t>(g.in_h);
    const T* pixel = inside ? picture + static_cast<size_t>(y) * g.in_w * g.in_c : padding;
    const size_t step = inside ? g.in_c : 0;
    const T** column = columns + ky;
    size_t x = 0;
    for (; x < left; ++x, column += g.h.kernel) *column = padding;
    for (; x < right; ++x, column += g.h.kernel, pixel += step) *column = pixel;
    for (; x < count; ++x, column += g.h.kernel) *column = padding;
  }
}

template <typename T, typename RunRow>
void RunDepthwise(const PreparedOp& op, const RunContext& run, const T* input, const T* padding,
                  RunRow run_row) {
  const ConvState& s = op.State<ConvState>();
  const ConvGeometry& g = s.geometry;
  const size_t columns = s.depthwise_shape.Columns(g.out_w);
  uint8_t* output = WriteData<uint8_t>(op.Output(), run);
  const size_t element_size = ElementSize(op.Output().dtype);
  auto body = [&](size_t begin, size_t end, size_t thread) {
    const T** pointers = reinterpret_cast<const T**>(run.Workspace(thread));
    for (size_t row = begin; row < end; ++row) {
      const size_t at = row * g.out_w * g.out_c;
      CollectColumns(g, input, padding, row, columns, pointers);
      if (!s.residual.Present()) {
        run_row(pointers, output + at * element_size);
        continue;
      }
      void* tile = run.Workspace(thread) + s.tile_offset;
      run_row(pointers, tile);
      AddResidual(op, run, tile, at, g.out_w, g.out_c);
    }
  };
  run.pool->ParallelFor(g.batch * g.out_h,
                        kGrainMacs / Max<size_t>(g.Taps() * g.out_w * g.out_c, 1) + 1, body);
}

}  // namespace

void RunDepthwiseConvolution(const PreparedOp& op, const RunContext& run) {
  const ConvState& s = op.State<ConvState>();
  const size_t outputs = s.geometry.out_w, channels = s.geometry.out_c;
  if (s.depthwise_f32 != nullptr) {
    RunDepthwise(
        op, run, InputData<float>(op, run, s.input_f32), s.padding_f32.data(),
        [&](const float* const* columns, void* y) {
          s.depthwise_f32->run({columns, s.depthwise_shape, outputs, s.weights_f32.data(),
                                s.bias_f32.data(), static_cast<float*>(y), channels, s.lo, s.hi});
        });
    return;
  }
  if (s.depthwise_f16 != nullptr) {
    RunDepthwise(
        op, run, InputData<Half>(op, run, s.input_f16), s.padding_f16.data(),
        [&](const Half* const* columns, void* y) {
          s.depthwise_f16->run({columns, s.depthwise_shape, outputs, s.weights_f16.data(),
                                s.bias_f16.data(), static_cast<Half*>(y), channels, s.lo, s.hi});
        });
    return;
  }
  const bool float_output = op.Output().dtype == kF32;
  RunDepthwise(op, run, InputData<int8_t>(op, run, s.input_i8), s.padding_i8.data(),
               [&](const int8_t* const* columns, void* y) {
                 s.depthwise_i8->run({columns, s.depthwise_shape, outputs, s.weights_i8.data(),
                                      s.bias_i32.data(), s.multiplier.data(),
                                      float_output ? nullptr : static_cast<int8_t*>(y), s.range,
                                      float_output ? static_cast<float*>(y) : nullptr, s.lo, s.hi,
                                      channels, s.shifted_sums});
               });
}

}  // namespace ptq
