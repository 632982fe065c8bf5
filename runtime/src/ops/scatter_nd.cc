// scatter_nd: x, computed indices [..., K], updates -> y, x with the updates behind each row of K
// indices.
#include <inttypes.h>

#include "base/math.h"
#include "ops/places.h"
#include "ops/registry.h"

namespace ptq {
namespace {

struct ScatterNdState {
  Places places;
  void (*reduce)(const void* update, void* y, size_t count);  // null: replaces
};

// On one thread: of several updates of a place each follows the one before it.
void RunScatterNd(const PreparedOp& op, const RunContext& run) {
  const ScatterNdState& s = op.State<ScatterNdState>();
  const Tensor& out = op.Output();
  const size_t size = ElementSize(out.dtype), item = s.places.item() * size;
  const uint8_t *indices = ReadData<uint8_t>(*op.Input(1), run),
                *updates = ReadData<uint8_t>(*op.Input(2), run);
  uint8_t* y = WriteData<uint8_t>(out, run);
  memcpy(y, ReadData<uint8_t>(*op.Input(0), run), static_cast<size_t>(out.size));
  for (size_t row = 0; row < s.places.rows(); ++row) {
    size_t at;
    if (!s.places.Find(indices, row, &at)) return run.Fail();
    if (s.reduce == nullptr) {
      memcpy(y + at * size, updates + row * item, item);
    } else {
      s.reduce(updates + row * item, y + at * size, s.places.item());
    }
  }
}

// Integers wrap around.
template <typename T>
T Sum(T a, T b) {
  if constexpr (static_cast<T>(0.5) != 0) return a + b;
  return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

template <typename T>
T Product(T a, T b) {
  if constexpr (static_cast<T>(0.5) != 0) return a * b;
  return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

// As in numpy, what is no number wins.
template <typename T>
T Larger(T a, T b) {
  return a > b || a != a ? a : b;
}

template <typename T>
T Smaller(T a, T b) {
  return a < b || a != a ? a : b;
}

template <typename T, T (*kFunction)(T, T)>
void ReduceOf(const void* update, void* y, size_t count) {
  const T* from = static_cast<const T*>(update);
  T* to = static_cast<T*>(y);
  for (size_t i = 0; i < count; ++i) to[i] = kFunction(to[i], from[i]);
}

using Reduce = void (*)(const void* update, void* y, size_t count);

template <typename T>
Reduce Choose(uint32_t reduction) {
  switch (reduction) {
    case kScatterNdAdd:
      return ReduceOf<T, Sum<T>>;
    case kScatterNdMul:
      return ReduceOf<T, Product<T>>;
    case kScatterNdMax:
      return ReduceOf<T, Larger<T>>;
    case kScatterNdMin:
      return ReduceOf<T, Smaller<T>>;
    default:
      return nullptr;
  }
}

}  // namespace

ptq_status PrepareScatterNd(uint32_t, PreparedOp* op) {
  const Tensor& x = *op->Input(0);
  const uint32_t reduction = op->GetAttrs<ScatterNdAttrs>().reduction;
  ScatterNdState* state = op->MakeState<ScatterNdState>();
  if (state == nullptr) return OutOfMemory();
  PTQ_RETURN_IF_ERROR(state->places.Prepare("updates", x, *op->Input(1), *op->Input(2)));
  if (reduction != kScatterNdNone && (x.dtype == kI8 || x.dtype == kBool)) {
    return Fail(PTQ_BAD_FILE, "reduction: %" PRIu32 " of %s", reduction, DTypeName(x.dtype));
  }
  state->reduce = x.dtype == kF32   ? Choose<float>(reduction)
                  : x.dtype == kI32 ? Choose<int32_t>(reduction)
                  : x.dtype == kI64 ? Choose<int64_t>(reduction)
                                    : Choose<uint8_t>(reduction);
  op->kernel = "scatter_nd__scalar";
  op->failure = kNoSuchPlace;
  op->run = RunScatterNd;
  return PTQ_OK;
}

}  // namespace ptq
