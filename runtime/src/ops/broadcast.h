// numpy broadcasting of two operands, cut into rows that a kernel takes.
#ifndef PTQ_OPS_BROADCAST_H_
#define PTQ_OPS_BROADCAST_H_

#include "base/math.h"
#include "ops/op.h"

namespace ptq {

// The output as rows: dims[rank-1] elements are a row, on which each operand is contiguous (step 1)
// or one value (step 0). Neighbouring dimensions with the same pattern are merged, so that tensors
// of equal shape are a single row, and dims[rank-2] rows make a plane on which each operand does
// one of four things: move along, stay, repeat a row, or repeat each value.
struct BroadcastPlan {
  uint32_t rank;
  size_t dims[kMaxRank];
  size_t a_strides[kMaxRank], b_strides[kMaxRank];  // elements; 0 where broadcast
};

// Refuses shapes that do not broadcast to y's.
ptq_status MakeBroadcastPlan(const Tensor& a, const Tensor& b, const Tensor& y,
                             BroadcastPlan* plan);

// Elements of a stretch of short rows that are computed in one call; rows that are shorter than a
// limit are worth it. A repeated row is written out once for many stretches, a repeated value for
// each one.
constexpr size_t kStretch = 512;
constexpr size_t kShortRow = 256, kShortRowOfOneValue = 32;

// One operand of a stretch of rows of one plane; what repeats is written out.
template <typename T>
class Stretch {
 public:
  Stretch(const T* data, const size_t* strides, uint32_t rank, size_t width)
      : data_(data),
        width_(width),
        line_stride_(strides[rank - 2]),
        step_(strides[rank - 1]),
        repeats_row_(line_stride_ == 0 && step_ != 0),
        repeats_values_(line_stride_ != 0 && step_ == 0) {}

  // The plane that begins at `offset`; `rows` is the longest stretch that will be asked for.
  void BeginPlane(size_t offset, size_t rows) {
    plane_ = data_ + offset;
    if (!repeats_row_) return;
    for (size_t row = 0; row < rows; ++row)
      memcpy(values_ + row * width_, plane_, width_ * sizeof(T));
  }

  const T* Rows(size_t row, size_t count) {
    if (repeats_row_) return values_;
    if (!repeats_values_) return plane_ + row * line_stride_;
    for (size_t i = 0; i < count; ++i) {
      const T value = plane_[row + i];
      for (size_t c = 0; c < width_; ++c) values_[i * width_ + c] = value;
    }
    return values_;
  }

  size_t step() const { return repeats_values_ ? 1 : step_; }

 private:
  const T *data_, *plane_ = nullptr;
  size_t width_, line_stride_, step_;
  bool repeats_row_, repeats_values_;
  T values_[kStretch + kReadSlack / sizeof(T)];
};

// Calls row(a, a_step, b, b_step, y index, count) until the output is covered, in parallel.
template <typename T, typename Row>
void ForBroadcastRows(const BroadcastPlan& plan, const T* a, const T* b, const RunContext& run,
                      size_t grain, Row row) {
  const uint32_t last = plan.rank - 1;
  const size_t width = plan.dims[last];
  size_t total = 1;
  for (uint32_t axis = 0; axis <= last; ++axis) total *= plan.dims[axis];
  // Where index `index` of the dimensions before `axis` lies in the operands.
  const auto offsets = [&](uint32_t axis, size_t index, size_t* a_at, size_t* b_at) {
    *a_at = *b_at = 0;
    for (; axis-- > 0; index /= plan.dims[axis]) {
      *a_at += index % plan.dims[axis] * plan.a_strides[axis];
      *b_at += index % plan.dims[axis] * plan.b_strides[axis];
    }
  };
  const auto repeats_values = [&](const size_t* strides) {
    return plan.rank > 1 && strides[last - 1] != 0 && strides[last] == 0;
  };
  const bool one_value = repeats_values(plan.a_strides) || repeats_values(plan.b_strides);
  if (plan.rank > 1 && width < (one_value ? kShortRowOfOneValue : kShortRow)) {
    const size_t lines = plan.dims[last - 1], longest = Min(lines, kStretch / width);
    auto body = [&](size_t begin, size_t end, size_t) {
      Stretch<T> a_rows(a, plan.a_strides, plan.rank, width),
          b_rows(b, plan.b_strides, plan.rank, width);
      bool new_plane = true;
      while (begin < end) {
        const size_t line = begin % lines;
        if (new_plane || line == 0) {
          size_t a_at, b_at;
          offsets(last - 1, begin / lines, &a_at, &b_at);
          a_rows.BeginPlane(a_at, longest);
          b_rows.BeginPlane(b_at, longest);
          new_plane = false;
        }
        const size_t count = Min(Min(longest, lines - line), end - begin);
        row(a_rows.Rows(line, count), a_rows.step(), b_rows.Rows(line, count), b_rows.step(),
            begin * width, count * width);
        begin += count;
      }
    };
    run.pool->ParallelFor(total / width, grain / width + 1, body);
    return;
  }
  auto body = [&](size_t begin, size_t end, size_t) {
    while (begin < end) {
      const size_t column = begin % width, count = Min(width - column, end - begin);
      size_t a_at, b_at;
      offsets(last, begin / width, &a_at, &b_at);
      row(a + a_at + column * plan.a_strides[last], plan.a_strides[last],
          b + b_at + column * plan.b_strides[last], plan.b_strides[last], begin, count);
      begin += count;
    }
  };
  run.pool->ParallelFor(total, grain, body);
}

}  // namespace ptq

#endif  // PTQ_OPS_BROADCAST_H_
