// Running a convolution: cut the output into tiles, collect the input pointers of a tile, call the
// kernel.
#include "base/math.h"
#include "ops/conv_state.h"

namespace ptq {
namespace {

// Less than this on a thread is not worth waking it, in multiply-accumulates.
constexpr size_t kGrainMacs = 32768;

// rows[tap * stride] for each tap of output pixel (n, oy, ox): its input pixel, or `padding`.
template <typename T>
void CollectRows(const ConvGeometry& g, const T* input, const T* padding, size_t pixel,
                 size_t stride, const T** rows) {
  const size_t n = pixel / (g.out_h * g.out_w), rest = pixel % (g.out_h * g.out_w);
  const size_t oy = rest / g.out_w, ox = rest % g.out_w;
  const T* picture = input + n * g.in_h * g.in_w * g.in_c;
  int64_t y = static_cast<int64_t>(oy) * g.h.stride - g.h.pad_begin;
  for (uint32_t ky = 0; ky < g.h.kernel; ++ky, y += g.h.dilation) {
    const bool row_inside = y >= 0 && y < static_cast<int64_t>(g.in_h);
    int64_t x = static_cast<int64_t>(ox) * g.w.stride - g.w.pad_begin;
    for (uint32_t kx = 0; kx < g.w.kernel; ++kx, x += g.w.dilation, rows += stride) {
      const bool inside = row_inside && x >= 0 && x < static_cast<int64_t>(g.in_w);
      *rows = inside ? picture + (static_cast<size_t>(y) * g.in_w + static_cast<size_t>(x)) * g.in_c
                     : padding;
    }
  }
}

// What differs between the two precisions of gemm, behind one name each.
void RunTile(const PreparedOp& op, const RunContext& run, const float* const* rows, size_t pixel,
             size_t valid_rows, size_t group, size_t block) {
  const ConvState& s = op.State<ConvState>();
  const ConvGeometry& g = s.geometry;
  const size_t nr = s.gemm_f32->nr, slot = (group * s.blocks + block) * nr;
  float* y =
      WriteData<float>(op.Output(), run) + pixel * g.out_c + group * g.GroupOutputs() + block * nr;
  s.gemm_f32->run({rows, g.Taps(), g.GroupInputs(), s.weights_f32.data() + slot * s.packed_products,
                   s.bias_f32.data() + slot, valid_rows, Min(nr, g.GroupOutputs() - block * nr), y,
                   g.out_c, s.lo, s.hi});
}

void RunTile(const PreparedOp& op, const RunContext& run, const int8_t* const* rows, size_t pixel,
             size_t valid_rows, size_t group, size_t block) {
  const ConvState& s = op.State<ConvState>();
  const ConvGeometry& g = s.geometry;
  const size_t nr = s.gemm_i8->nr, slot = (group * s.blocks + block) * nr;
  const size_t at = pixel * g.out_c + group * g.GroupOutputs() + block * nr;
  const bool float_output = op.Output().dtype == kF32;
  s.gemm_i8->run({rows, g.Taps(), g.GroupInputs(), s.weights_i8.data() + slot * s.packed_products,
                  s.bias_i32.data() + slot, s.multiplier.data() + slot, valid_rows,
                  Min(nr, g.GroupOutputs() - block * nr),
                  float_output ? nullptr : WriteData<int8_t>(op.Output(), run) + at, s.range,
                  float_output ? WriteData<float>(op.Output(), run) + at : nullptr, s.lo, s.hi,
                  g.out_c});
}

template <typename T>
void RunGemm(const PreparedOp& op, const RunContext& run, size_t mr, size_t nr, const T* padding) {
  const ConvState& s = op.State<ConvState>();
  const ConvGeometry& g = s.geometry;
  const T* input = ReadData<T>(*op.Input(0), run);
  const size_t pixels = g.batch * g.out_h * g.out_w, tiles = CeilDiv(pixels, mr);
  // With few pixels (a fully connected layer) the output channels are cut too, so that there is
  // work for all threads.
  const size_t chunks = Clamp<size_t>(64 / tiles, 1, s.blocks);
  const size_t macs = mr * nr * CeilDiv(s.blocks, chunks) * g.groups * g.Taps() * g.GroupInputs();
  auto body = [&](size_t begin, size_t end, size_t thread) {
    const T** rows = reinterpret_cast<const T**>(run.Workspace(thread));
    for (size_t item = begin; item < end; ++item) {
      const size_t pixel = item / chunks * mr, chunk = item % chunks,
                   valid_rows = Min(mr, pixels - pixel);
      for (size_t group = 0; group < g.groups; ++group) {
        const size_t offset = group * g.GroupInputs();
        for (size_t i = 0; i < mr; ++i) {
          // A tile at the end repeats its last pixel: kernels read mr rows always, and store
          // valid_rows.
          CollectRows(g, input + offset, padding, pixel + Min(i, valid_rows - 1), mr, rows + i);
        }
        const size_t last = s.blocks * (chunk + 1) / chunks;
        for (size_t block = s.blocks * chunk / chunks; block < last; ++block) {
          RunTile(op, run, rows, pixel, valid_rows, group, block);
        }
      }
    }
  };
  run.pool->ParallelFor(tiles * chunks, kGrainMacs / Max<size_t>(macs, 1) + 1, body);
}

template <typename T, typename RunPixel>
void RunDepthwise(const PreparedOp& op, const RunContext& run, const T* padding,
                  RunPixel run_pixel) {
  const ConvGeometry& g = op.State<ConvState>().geometry;
  const T* input = ReadData<T>(*op.Input(0), run);
  auto body = [&](size_t begin, size_t end, size_t thread) {
    const T** rows = reinterpret_cast<const T**>(run.Workspace(thread));
    for (size_t pixel = begin; pixel < end; ++pixel) {
      CollectRows(g, input, padding, pixel, 1, rows);
      run_pixel(rows, pixel * g.out_c);
    }
  };
  run.pool->ParallelFor(g.batch * g.out_h * g.out_w,
                        kGrainMacs / Max<size_t>(g.Taps() * g.out_c, 1) + 1, body);
}

}  // namespace

void RunGemmConvolution(const PreparedOp& op, const RunContext& run) {
  const ConvState& s = op.State<ConvState>();
  if (s.gemm_i8 != nullptr) {
    RunGemm<int8_t>(op, run, s.gemm_i8->mr, s.gemm_i8->nr, s.padding_i8.data());
  } else {
    RunGemm<float>(op, run, s.gemm_f32->mr, s.gemm_f32->nr, s.padding_f32.data());
  }
}

void RunDepthwiseConvolution(const PreparedOp& op, const RunContext& run) {
  const ConvState& s = op.State<ConvState>();
  const size_t taps = s.geometry.Taps(), channels = s.geometry.out_c;
  if (s.depthwise_f32 != nullptr) {
    float* y = WriteData<float>(op.Output(), run);
    RunDepthwise<float>(op, run, s.padding_f32.data(), [&](const float* const* rows, size_t at) {
      s.depthwise_f32->run({rows, taps, channels, s.weights_f32.data(), s.bias_f32.size(),
                            s.bias_f32.data(), y + at, s.lo, s.hi});
    });
    return;
  }
  const bool float_output = op.Output().dtype == kF32;
  RunDepthwise<int8_t>(op, run, s.padding_i8.data(), [&](const int8_t* const* rows, size_t at) {
    s.depthwise_i8->run(
        {rows, taps, channels, s.weights_i8.data(), s.bias_i32.size(), s.bias_i32.data(),
         s.multiplier.data(), float_output ? nullptr : WriteData<int8_t>(op.Output(), run) + at,
         s.range, float_output ? WriteData<float>(op.Output(), run) + at : nullptr, s.lo, s.hi});
  });
}

}  // namespace ptq
