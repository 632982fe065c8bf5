// window_arg_max: x -> y i64, where in x, all its elements counted, the largest element of each
// window lies.
#include <inttypes.h>

#include "ops/checks.h"
#include "ops/ordered.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainSteps = 16384;
constexpr const char* kDimensions[kMaxRank] = {"dimension 0", "dimension 1", "dimension 2",
                                               "dimension 3", "dimension 4", "dimension 5",
                                               "dimension 6", "dimension 7"};

struct WindowArgMaxState {
  uint32_t rank;
  Window windows[kMaxRank];
  int64_t x_dims[kMaxRank];
  size_t y_dims[kMaxRank];
  uint64_t taps;
};

// The taps of a window that lie inside x, along each dimension.
struct Inside {
  int64_t first[kMaxRank], begin[kMaxRank], end[kMaxRank];
};

// The best element so far: the first of equal ones, and no number is smaller than any.
template <typename T>
struct Best {
  const T* x;
  const WindowArgMaxState* state;
  const Inside* inside;
  T value;
  int64_t place;

  void Look(uint32_t d, int64_t before) {
    if (d == state->rank) {
      const T found = x[before];
      if (place >= 0 && !(found > value || (value != value && found == found))) return;
      value = found;
      place = before;
      return;
    }
    for (int64_t tap = inside->begin[d]; tap < inside->end[d]; ++tap) {
      const int64_t at = inside->first[d] + tap * state->windows[d].dilation;
      Look(d + 1, before * state->x_dims[d] + at);
    }
  }
};

template <typename T>
void RunWindowArgMax(const PreparedOp& op, const RunContext& run) {
  const WindowArgMaxState& s = op.State<WindowArgMaxState>();
  const T* x = ReadData<T>(*op.Input(0), run);
  int64_t* y = WriteData<int64_t>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; ++i) {
      Inside inside;
      size_t rest = i;
      for (uint32_t d = s.rank; d-- > 0; rest /= s.y_dims[d]) {
        const int64_t o = static_cast<int64_t>(rest % s.y_dims[d]);
        inside.first[d] = o * s.windows[d].stride - s.windows[d].pad_begin;
        ValidTaps(s.windows[d], o, s.x_dims[d], &inside.begin[d], &inside.end[d]);
      }
      Best<T> best = {x, &s, &inside, T{}, -1};
      best.Look(0, 0);
      y[i] = best.place;
    }
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements),
                        static_cast<size_t>(kGrainSteps / s.taps) + 1, body);
}

ptq_status CheckWindows(const PreparedOp& op, const WindowArgMaxState& state) {
  const Tensor &x = *op.Input(0), &y = op.Output();
  uint64_t taps = 1;
  for (uint32_t d = 0; d < x.rank && taps <= kMaxWindow; ++d) taps *= state.windows[d].kernel;
  if (taps > kMaxWindow) {
    return Fail(PTQ_UNSUPPORTED, "kernel: it has more than %" PRIu64 " elements", kMaxWindow);
  }
  for (uint32_t d = 0; d < x.rank; ++d) {
    PTQ_RETURN_IF_ERROR(CheckNoEmptyWindow(kDimensions[d], state.windows[d], x.dims[d], y.dims[d]));
  }
  return PTQ_OK;
}

}  // namespace

ptq_status PrepareWindowArgMax(uint32_t, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  const WindowArgMaxAttrs attrs = op->GetAttrs<WindowArgMaxAttrs>();
  WindowArgMaxState* state = op->MakeState<WindowArgMaxState>();
  if (state == nullptr) return OutOfMemory();
  state->rank = x.rank;
  state->taps = 1;
  for (uint32_t d = 0; d < x.rank; ++d) {
    state->windows[d] = {attrs.kernel[d], attrs.stride[d], attrs.dilation[d], attrs.before[d], 0};
    state->x_dims[d] = x.dims[d];
    state->y_dims[d] = y.dims[d];
    state->taps *= Min(attrs.kernel[d], x.dims[d]);
  }
  PTQ_RETURN_IF_ERROR(CheckWindows(*op, *state));
  op->steps = Steps{y.elements} * state->taps;
  op->kernel = "window_arg_max__scalar";
  op->run = ForOrdered(x.dtype, [](auto value) { return RunWindowArgMax<decltype(value)>; });
  return PTQ_OK;
}

}  // namespace ptq
