// compare: a, b -> y bool with numpy broadcasting.
#include "ops/plain_rows.h"
#include "ops/registry.h"

namespace ptq {
namespace {

template <typename T>
bool Equal(T a, T b, uint8_t* y) {
  *y = a == b;
  return true;
}

template <typename T>
bool NotEqual(T a, T b, uint8_t* y) {
  *y = a != b;
  return true;
}

template <typename T>
bool Less(T a, T b, uint8_t* y) {
  *y = a < b;
  return true;
}

template <typename T>
bool LessOrEqual(T a, T b, uint8_t* y) {
  *y = a <= b;
  return true;
}

template <typename T>
PlainRow RowOf(uint32_t comparison) {
  switch (comparison) {
    case kCompareEqual:
      return PlainRowOf<T, uint8_t, Equal<T>>;
    case kCompareNotEqual:
      return PlainRowOf<T, uint8_t, NotEqual<T>>;
    case kCompareLess:
      return PlainRowOf<T, uint8_t, Less<T>>;
    default:
      return PlainRowOf<T, uint8_t, LessOrEqual<T>>;
  }
}

PlainRow RowOf(DType dtype, uint32_t comparison) {
  switch (dtype) {
    case kF32:
      return RowOf<float>(comparison);
    case kI32:
      return RowOf<int32_t>(comparison);
    case kI64:
      return RowOf<int64_t>(comparison);
    default:
      return RowOf<uint8_t>(comparison);
  }
}

}  // namespace

ptq_status PrepareCompare(uint32_t, PreparedOp* op) {
  const uint32_t comparison = op->GetAttrs<CompareAttrs>().comparison;
  return PreparePlainRows(RowOf(op->Input(0)->dtype, comparison), "compare__scalar", op);
}

}  // namespace ptq
