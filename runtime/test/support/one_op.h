// Programs of one operator: run everywhere and compared, or refused.
#ifndef PTQ_TEST_SUPPORT_ONE_OP_H_
#define PTQ_TEST_SUPPORT_ONE_OP_H_

#include <type_traits>

#include "test/support/compare.h"
#include "test/support/model_builder.h"
#include "test/support/runner.h"

namespace ptq_test {

inline size_t Elements(const Dims& dims) {
  size_t elements = 1;
  for (uint32_t dim : dims) elements *= dim;
  return elements;
}

// Output 0 has exactly the bytes of `expected`.
template <typename T>
void Expect(const List<uint8_t>& file, const List<InputData>& inputs, const List<T>& expected,
            const char* what) {
  RunEverywhere(file, inputs, [&](const ptq_context* context) {
    SameBytes(static_cast<const T*>(ptq_context_output(context, 0)), expected.data(),
              expected.size(), what);
  });
}

// Output 0 lies within (products + 8) unit roundoffs of T times magnitude of `expected`.
template <typename T = float>
void ExpectWithin(const List<uint8_t>& file, const List<InputData>& inputs,
                  const List<double>& expected, const List<double>& magnitude, size_t products,
                  const char* what) {
  RunEverywhere(file, inputs, [&](const ptq_context* context) {
    WithinBound(static_cast<const T*>(ptq_context_output(context, 0)), expected.data(),
                magnitude.data(), products, expected.size(), what);
  });
}

template <typename T>
constexpr ptq::DType DTypeOf() {
  return std::is_same_v<T, int8_t>    ? ptq::kI8
         : std::is_same_v<T, uint8_t> ? ptq::kU8
         : std::is_same_v<T, int32_t> ? ptq::kI32
         : std::is_same_v<T, int64_t> ? ptq::kI64
         : sizeof(T) == 2             ? ptq::kF16
                                      : ptq::kF32;
}

// The operator x -> y of one dtype; i8 with the same scale on both sides.
template <typename T, typename Attrs>
ModelBuilder OneOp(uint16_t kind, const Dims& x_dims, const Dims& y_dims, const Attrs& attrs) {
  ModelBuilder m;
  const uint32_t q = sizeof(T) == 1 ? m.Qparams(0.1f, 3) : ptq::kNone;
  const uint32_t x = m.Input("x", DTypeOf<T>(), x_dims, q),
                 y = m.Arena("y", DTypeOf<T>(), y_dims, q);
  m.Op(kind, "op", {x}, y, attrs);
  m.Output(y);
  return m;
}

// The file is refused; the message names the operator and holds `words`.
inline void ExpectRefused(const ModelBuilder& model, const char* words) {
  const List<uint8_t> file = model.Finish();
  ptq_program* program = nullptr;
  const ptq_status status = ptq_program_from_memory(file.data(), file.size(), &program);
  CHECK(status == PTQ_BAD_FILE || status == PTQ_UNSUPPORTED);
  if (!CHECK(strstr(ptq_last_error(), "'op'") != nullptr &&
             strstr(ptq_last_error(), words) != nullptr))
    fprintf(stderr, "  expected '%s' in: %s\n", words, ptq_last_error());
  ptq_program_destroy(program);
}

}  // namespace ptq_test

#endif  // PTQ_TEST_SUPPORT_ONE_OP_H_
