// cast: x -> y of another type and the same shape, values that stand for themselves.
#include <limits>

#include "ops/registry.h"

namespace ptq {
namespace {

constexpr size_t kGrainElements = 4096;

struct Bool {
  uint8_t value;
};

// Integers lose their high bits; to float32 they are rounded to nearest.
template <typename X, typename Y>
struct Cast {
  static Y Of(X x) { return static_cast<Y>(x); }
};

// Rounded towards 0; saturates; no number is 0.
template <typename Y>
struct Cast<float, Y> {
  static Y Of(float x) {
    using Limits = std::numeric_limits<Y>;
    // The one behind the largest is a power of two, as the least one is, or 0.
    constexpr float kEnd = static_cast<float>(Limits::max() / 2 + 1) * 2.0f;
    if (!(x == x)) return 0;
    if (x >= kEnd) return Limits::max();
    if (x <= static_cast<float>(Limits::min())) return Limits::min();
    return static_cast<Y>(x);
  }
};

template <>
struct Cast<float, Bool> {
  static Bool Of(float x) { return {x != 0}; }
};

template <typename X>
struct Cast<X, Bool> {
  static Bool Of(X x) { return {x != 0}; }
};

template <typename Y>
struct Cast<Bool, Y> {
  static Y Of(Bool x) { return static_cast<Y>(x.value != 0); }
};

template <typename X, typename Y>
void RunOf(const PreparedOp& op, const RunContext& run) {
  const X* x = ReadData<X>(*op.Input(0), run);
  Y* y = WriteData<Y>(op.Output(), run);
  auto body = [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; ++i) y[i] = Cast<X, Y>::Of(x[i]);
  };
  run.pool->ParallelFor(static_cast<size_t>(op.Output().elements), kGrainElements, body);
}

using Run = void (*)(const PreparedOp&, const RunContext&);

// x and y are of different types.
template <typename Y>
Run From(DType x) {
  switch (x) {
    case kI32:
      return RunOf<int32_t, Y>;
    case kI64:
      return RunOf<int64_t, Y>;
    case kU8:
      return RunOf<uint8_t, Y>;
    default:
      return RunOf<Bool, Y>;
  }
}

template <typename Y>
Run FromAny(DType x) {
  return x == kF32 ? RunOf<float, Y> : From<Y>(x);
}

Run ToBool(DType x) {
  switch (x) {
    case kF32:
      return RunOf<float, Bool>;
    case kI32:
      return RunOf<int32_t, Bool>;
    case kI64:
      return RunOf<int64_t, Bool>;
    default:
      return RunOf<uint8_t, Bool>;
  }
}

}  // namespace

ptq_status PrepareCast(uint32_t, PreparedOp* op) {
  const DType x = op->Input(0)->dtype, y = op->Output().dtype;
  op->kernel = "cast__scalar";
  op->run = y == kF32   ? From<float>(x)
            : y == kI32 ? FromAny<int32_t>(x)
            : y == kI64 ? FromAny<int64_t>(x)
            : y == kU8  ? FromAny<uint8_t>(x)
                        : ToBool(x);
  return PTQ_OK;
}

}  // namespace ptq
