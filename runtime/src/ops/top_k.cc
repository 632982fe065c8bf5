// top_k: x -> y i64, the indices of the k largest (or smallest) elements along one axis.
#include <inttypes.h>

#include "ops/checks.h"
#include "ops/ordered.h"
#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kStepsPerElement = 32;  // log2 of any k
constexpr size_t kGrainSteps = 65536;

struct TopKState {
  size_t outer, count, inner, k;
  bool largest;
};

// A line of x, and whether its element i comes before j: the first of equal ones, and no numbers
// last.
template <typename T>
struct Line {
  const T* x;
  size_t step;
  bool largest;

  bool Before(uint32_t i, uint32_t j) const {
    const T a = x[i * step], b = x[j * step];
    if (a != a || b != b) return a == a || (b != b && i < j);
    if (a == b) return i < j;
    return largest ? a > b : a < b;
  }

  // Lets heap[root] sink in a heap whose root is the last of its elements in order.
  void Sink(uint32_t* heap, size_t size, size_t root) const {
    while (true) {
      size_t last = root;
      for (size_t child = 2 * root + 1; child <= 2 * root + 2 && child < size; ++child) {
        if (Before(heap[last], heap[child])) last = child;
      }
      if (last == root) return;
      const uint32_t sunk = heap[root];
      heap[root] = heap[last];
      heap[last] = sunk;
      root = last;
    }
  }

  // The first k of `count`, in order.
  void Select(uint32_t* heap, size_t k, size_t count) const {
    for (size_t i = 0; i < k; ++i) heap[i] = static_cast<uint32_t>(i);
    for (size_t root = k / 2; root-- > 0;) Sink(heap, k, root);
    for (size_t i = k; i < count; ++i) {
      if (!Before(static_cast<uint32_t>(i), heap[0])) continue;
      heap[0] = static_cast<uint32_t>(i);
      Sink(heap, k, 0);
    }
    for (size_t end = k; end-- > 1;) {
      const uint32_t last = heap[0];
      heap[0] = heap[end];
      heap[end] = last;
      Sink(heap, end, 0);
    }
  }
};

template <typename T>
void RunTopK(const PreparedOp& op, const RunContext& run) {
  const TopKState& s = op.State<TopKState>();
  const T* x = ReadData<T>(*op.Input(0), run);
  int64_t* y = WriteData<int64_t>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t thread) {
    uint32_t* heap = reinterpret_cast<uint32_t*>(run.Workspace(thread));
    for (size_t item = begin; item < end; ++item) {
      const size_t outer = item / s.inner, column = item % s.inner;
      const Line<T> line = {x + outer * s.count * s.inner + column, s.inner, s.largest};
      line.Select(heap, s.k, s.count);
      int64_t* to = y + outer * s.k * s.inner + column;
      for (size_t i = 0; i < s.k; ++i) to[i * s.inner] = heap[i];
    }
  };
  run.pool->ParallelFor(s.outer * s.inner, kGrainSteps / (s.count * kStepsPerElement) + 1, body);
}

}  // namespace

ptq_status PrepareTopK(uint32_t, PreparedOp* op) {
  const Tensor &x = *op->Input(0), &y = op->Output();
  const TopKAttrs attrs = op->GetAttrs<TopKAttrs>();
  for (uint32_t d = 0; d < x.rank; ++d) {
    if (d != attrs.axis) PTQ_RETURN_IF_ERROR(CheckDim("output", y, d, x.dims[d]));
  }
  if (y.dims[attrs.axis] > x.dims[attrs.axis]) {
    return Fail(PTQ_BAD_FILE, "output: %" PRIu32 " of %" PRIu32 " elements", y.dims[attrs.axis],
                x.dims[attrs.axis]);
  }
  TopKState* state = op->MakeState<TopKState>();
  if (state == nullptr) return OutOfMemory();
  SplitAtAxis(x, attrs.axis, &state->outer, &state->count, &state->inner);
  state->k = y.dims[attrs.axis];
  state->largest = attrs.largest != 0;
  op->TakeWorkspace(state->k * sizeof(uint32_t));
  op->steps = Steps{x.elements} * kStepsPerElement;
  op->kernel = "top_k__scalar";
  op->run = ForOrdered(x.dtype, [](auto value) { return RunTopK<decltype(value)>; });
  return PTQ_OK;
}

}  // namespace ptq
