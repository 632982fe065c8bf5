// grid_sample: x [N,...,C], positions [N,...,K] -> y [N,...,C], values of x at K coordinates each
// (docs/numerics.md, "Grid sample").
#include <inttypes.h>
#include <math.h>

#include "ops/checks.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainSteps = 16384;
constexpr uint32_t kMaxDims = 3, kMaxTaps = 4;
constexpr float kFurthest = 4194304.0f;  // pixels that a position may lie away
constexpr float kCubic = -0.75f;         // a of Keys' kernel

struct GridSampleState {
  GridSampleAttrs attrs;
  uint32_t dims, taps;       // dimensions with positions, pixels along each
  int64_t sizes[kMaxDims];   // of x
  size_t strides[kMaxDims];  // of x, in elements
  size_t points;             // of one picture
  size_t combinations;       // pixels that a value is made of
};

// What a value is made of along one dimension; a place outside is -1.
struct Taps {
  int64_t places[kMaxTaps];
  float weights[kMaxTaps];
};

// Where coordinate `n` of -1 ... 1 lies in a dimension of `size`, in pixels. Every operation rounds
// to float; no number lies far before the first pixel.
float Position(float n, int64_t size, bool align_corners) {
  const float length = static_cast<float>(size);
  const float at = align_corners ? (n + 1.0f) / 2.0f * static_cast<float>(size - 1)
                                 : ((n + 1.0f) * length - 1.0f) / 2.0f;
  const float above = at > -kFurthest ? at : -kFurthest;
  return above < kFurthest ? above : kFurthest;
}

// Keys' kernel at distances of 0 ... 1, and of 1 ... 2.
float Near(float d) { return ((kCubic + 2.0f) * d - (kCubic + 3.0f)) * d * d + 1.0f; }
float Far(float d) {
  return ((kCubic * d - 5.0f * kCubic) * d + 8.0f * kCubic) * d - 4.0f * kCubic;
}

int64_t Padded(int64_t place, int64_t size, const GridSampleAttrs& attrs) {
  if (place >= 0 && place < size) return place;
  switch (attrs.padding) {
    case kGridSampleZeros:
      return -1;
    case kGridSampleReflection: {
      // A mirror stands on the middle of the last pixel, or behind it.
      const bool aligned = attrs.align_corners != 0;
      const int64_t period = aligned ? Max<int64_t>(2 * (size - 1), 1) : 2 * size;
      const int64_t rest = place % period, folded = rest < 0 ? rest + period : rest;
      return folded < size ? folded : (aligned ? period : period - 1) - folded;
    }
    default:
      return place < 0 ? 0 : size - 1;
  }
}

Taps TapsAt(float p, int64_t size, uint32_t count, const GridSampleAttrs& attrs) {
  const float below = floorf(p), t = p - below;
  const int64_t first = static_cast<int64_t>(below);
  Taps taps;
  switch (attrs.mode) {
    case kGridSampleNearest:
      taps = {{static_cast<int64_t>(rintf(p))}, {1.0f}};
      break;
    case kGridSampleLinear:
      taps = {{first, first + 1}, {below + 1.0f - p, t}};
      break;
    default:
      taps = {{first - 1, first, first + 1, first + 2},
              {Far(1.0f + t), Near(t), Near(1.0f - t), Far(1.0f + (1.0f - t))}};
  }
  for (uint32_t i = 0; i < count; ++i) taps.places[i] = Padded(taps.places[i], size, attrs);
  return taps;
}

// Adds to `y` every pixel that is inside, by the product of its weights along the dimensions.
void AddPixels(const GridSampleState& s, const float* picture, const Taps* along, size_t channels,
               float* y) {
  for (size_t combination = 0; combination < s.combinations; ++combination) {
    size_t rest = combination, offset = 0;
    float weight = 1.0f;
    bool inside = true;
    for (uint32_t d = s.dims; d-- > 0; rest /= s.taps) {
      const size_t tap = rest % s.taps;
      inside = inside && along[d].places[tap] >= 0;
      offset += static_cast<size_t>(along[d].places[tap]) * s.strides[d];
      weight *= along[d].weights[tap];
    }
    if (!inside) continue;
    const float* x = picture + offset;
    for (size_t c = 0; c < channels; ++c) y[c] += weight * x[c];
  }
}

void RunGridSample(const PreparedOp& op, const RunContext& run) {
  const GridSampleState& s = op.State<GridSampleState>();
  const Tensor &x = *op.Input(0), &y = op.Output();
  const float *pictures = ReadData<float>(x, run), *grid = ReadData<float>(*op.Input(1), run);
  float* output = WriteData<float>(y, run);
  const size_t channels = x.dims[x.rank - 1], picture = static_cast<size_t>(x.elements) / x.dims[0];
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t point = begin; point < end; ++point) {
      Taps along[kMaxDims];
      for (uint32_t d = 0; d < s.dims; ++d) {
        const float n = grid[point * s.dims + s.dims - 1 - d];
        const float p = Position(n, s.sizes[d], s.attrs.align_corners != 0);
        along[d] = TapsAt(p, s.sizes[d], s.taps, s.attrs);
      }
      float* to = output + point * channels;
      for (size_t c = 0; c < channels; ++c) to[c] = 0.0f;
      AddPixels(s, pictures + point / s.points * picture, along, channels, to);
    }
  };
  const uint64_t steps = uint64_t{s.combinations} * channels;
  run.pool->ParallelFor(s.points * x.dims[0], static_cast<size_t>(kGrainSteps / steps) + 1, body);
}

ptq_status CheckGridSample(const Tensor& x, const Tensor& grid, const Tensor& y) {
  const uint32_t last = x.rank - 1;
  if (x.rank < 3 || x.rank > 2 + kMaxDims)
    return Fail(PTQ_BAD_FILE, "x rank: %" PRIu32 " is not 3 ... 5", x.rank);
  PTQ_RETURN_IF_ERROR(CheckDim("grid", grid, 0, x.dims[0]));
  PTQ_RETURN_IF_ERROR(CheckDim("grid", grid, last, last - 1));
  for (uint32_t d = 0; d < last; ++d) PTQ_RETURN_IF_ERROR(CheckDim("output", y, d, grid.dims[d]));
  return CheckDim("output", y, last, x.dims[last]);
}

}  // namespace

ptq_status PrepareGridSample(uint32_t, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &grid = *op->Input(1), &y = op->Output();
  PTQ_RETURN_IF_ERROR(CheckGridSample(x, grid, y));
  GridSampleState* state = op->MakeState<GridSampleState>();
  if (state == nullptr) return OutOfMemory();
  state->attrs = op->GetAttrs<GridSampleAttrs>();
  state->dims = x.rank - 2;
  state->taps = state->attrs.mode == kGridSampleNearest  ? 1
                : state->attrs.mode == kGridSampleLinear ? 2
                                                         : kMaxTaps;
  state->points = static_cast<size_t>(grid.elements) / state->dims / grid.dims[0];
  state->combinations = 1;
  size_t stride = x.dims[x.rank - 1];
  for (uint32_t d = state->dims; d-- > 0;) {
    state->sizes[d] = x.dims[d + 1];
    state->strides[d] = stride;
    stride *= x.dims[d + 1];
    state->combinations *= state->taps;
  }
  op->steps = Steps{y.elements} * state->combinations;
  op->kernel = "grid_sample__scalar";
  op->run = RunGridSample;
  return PTQ_OK;
}

}  // namespace ptq
