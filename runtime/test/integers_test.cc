// Integers and bools through the whole runtime: values at the edges of types, worked out by hand.
#include <limits.h>
#include <math.h>

#include "test/support/one_op.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

constexpr ptq::ClampAttrs kNoClamp = {-INFINITY, INFINITY, -128, 127};

template <typename T>
struct TypeOf;
template <>
struct TypeOf<float> {
  static constexpr ptq::DType kDType = ptq::kF32;
};
template <>
struct TypeOf<int32_t> {
  static constexpr ptq::DType kDType = ptq::kI32;
};
template <>
struct TypeOf<int64_t> {
  static constexpr ptq::DType kDType = ptq::kI64;
};
template <>
struct TypeOf<uint8_t> {
  static constexpr ptq::DType kDType = ptq::kU8;
};
template <>
struct TypeOf<bool> {
  static constexpr ptq::DType kDType = ptq::kBool;
};

template <typename X, typename Y>
void TestCast(const List<X>& x, const List<Y>& y) {
  Row("cast of %d to %d", TypeOf<X>::kDType, TypeOf<Y>::kDType);
  ModelBuilder m;
  const Dims dims = {static_cast<uint32_t>(x.size())};
  const uint32_t from = m.Input("x", TypeOf<X>::kDType, dims),
                 to = m.Arena("y", TypeOf<Y>::kDType, dims);
  m.Op(ptq::kCast, "op", {from}, to);
  m.Output(to);
  Expect(m.Finish(), {Bytes(x)}, y, "cast");
}

void TestCasts() {
  const List<float> reals = {0.0f,     -0.9f,     1.9f,  -1.9f,         255.9f,
                             256.0f,   3e9f,      -3e9f, 1e19f,         -1e19f,
                             INFINITY, -INFINITY, NAN,   2147483520.0f, -2147483648.0f};
  TestCast<float, int32_t>(reals, {0, 0, 1, -1, 255, 256, INT_MAX, INT_MIN, INT_MAX, INT_MIN,
                                   INT_MAX, INT_MIN, 0, 2147483520, INT_MIN});
  TestCast<float, int64_t>(reals, {0, 0, 1, -1, 255, 256, 3000000000, -3000000000, INT64_MAX,
                                   INT64_MIN, INT64_MAX, INT64_MIN, 0, 2147483520, INT_MIN});
  TestCast<float, uint8_t>(reals, {0, 0, 1, 0, 255, 255, 255, 0, 255, 0, 255, 0, 0, 255, 0});
  TestCast<float, bool>(reals, {false, true, true, true, true, true, true, true, true, true, true,
                                true, true, true, true});
  TestCast<int64_t, int32_t>({1, -1, int64_t{1} << 40, (int64_t{1} << 32) + 5, INT64_MIN},
                             {1, -1, 0, 5, 0});
  TestCast<int64_t, float>({1, -1, (int64_t{1} << 24) + 1, (int64_t{1} << 24) + 3, INT64_MAX},
                           {1.0f, -1.0f, 16777216.0f, 16777220.0f, 9223372036854775808.0f});
  TestCast<int32_t, uint8_t>({0, 255, 256, -1, INT_MIN}, {0, 255, 0, 255, 0});
  TestCast<int32_t, bool>({0, 256, -1}, {false, true, true});
  TestCast<uint8_t, int64_t>({0, 255}, {0, 255});
  TestCast<uint8_t, float>({0, 255}, {0.0f, 255.0f});
  TestCast<bool, float>({false, true}, {0.0f, 1.0f});
  TestCast<bool, int64_t>({false, true}, {0, 1});
  TestCast<uint8_t, bool>({0, 1, 128}, {false, true, true});
}

template <typename T>
ModelBuilder Binary(uint16_t kind, const Dims& a, const Dims& b, const Dims& y) {
  ModelBuilder m;
  const uint32_t ta = m.Input("a", TypeOf<T>::kDType, a), tb = m.Input("b", TypeOf<T>::kDType, b),
                 ty = m.Arena("y", TypeOf<T>::kDType, y);
  m.Op(kind, "op", {ta, tb}, ty, kNoClamp);
  m.Output(ty);
  return m;
}

template <typename T>
void TestBinary(uint16_t kind, const List<T>& a, const List<T>& b, const List<T>& y) {
  Row("binary %d of %d", kind, TypeOf<T>::kDType);
  const Dims dims = {static_cast<uint32_t>(a.size())};
  Expect(Binary<T>(kind, dims, dims, dims).Finish(), {Bytes(a), Bytes(b)}, y, "binary");
}

void TestBinaries() {
  TestBinary<int32_t>(ptq::kAdd, {1, INT_MAX, INT_MIN}, {2, 1, -1}, {3, INT_MIN, INT_MAX});
  TestBinary<int64_t>(ptq::kAdd, {INT64_MAX, int64_t{1} << 40}, {1, 1},
                      {INT64_MIN, (int64_t{1} << 40) + 1});
  TestBinary<uint8_t>(ptq::kSub, {1, 5}, {2, 3}, {255, 2});
  TestBinary<int32_t>(ptq::kMul, {65536, -3}, {65536, 7}, {0, -21});
  TestBinary<int64_t>(ptq::kMul, {int64_t{1} << 32}, {3}, {int64_t{3} << 32});
  TestBinary<int32_t>(ptq::kDiv, {7, -7, 7, -7, INT_MIN}, {2, 2, -2, -2, -1},
                      {3, -3, -3, 3, INT_MIN});
  TestBinary<int64_t>(ptq::kDiv, {INT64_MIN, 9}, {-1, 4}, {INT64_MIN, 2});
  TestBinary<uint8_t>(ptq::kDiv, {200, 200}, {255, 3}, {0, 66});
  TestBinary<int32_t>(ptq::kMod, {7, -7, 7, -7, INT_MIN, 6}, {3, 3, -3, -3, -1, 3},
                      {1, 2, -2, -1, 0, 0});
  TestBinary<uint8_t>(ptq::kMod, {200, 255}, {255, 16}, {200, 15});
  TestBinary<float>(ptq::kMod, {7.5f, -7.5f, 7.5f, -0.5f}, {2, 2, -2, 1},
                    {1.5f, -1.5f, 1.5f, -0.5f});
  TestBinary<int64_t>(ptq::kMaximum, {INT64_MIN, 4}, {0, 5}, {0, 5});
  TestBinary<bool>(ptq::kMinimum, {false, true, true}, {true, true, false}, {false, true, false});
  TestBinary<bool>(ptq::kMaximum, {false, true, false}, {true, true, false}, {true, true, false});
  Row("broadcast");
  const List<int32_t> a = {1, 2, 3}, b = {10, 20}, y = {11, 12, 13, 21, 22, 23};
  Expect(Binary<int32_t>(ptq::kAdd, {3}, {2, 1}, {2, 3}).Finish(), {Bytes(a), Bytes(b)}, y, "rows");
}

// A run fails, says where, and the context can run again.
void TestDivisionByZero() {
  for (uint16_t kind : {ptq::kDiv, ptq::kMod}) {
    Row("%d by 0", kind);
    const List<uint8_t> file = Binary<int64_t>(kind, {3}, {3}, {3}).Finish();
    ptq_program* program = nullptr;
    ptq_context* context = nullptr;
    if (!CHECK(ptq_program_from_memory(file.data(), file.size(), &program) == PTQ_OK)) return;
    CHECK(ptq_context_create(program, 2, &context) == PTQ_OK);
    int64_t* b = static_cast<int64_t*>(ptq_context_input(context, 1));
    for (int i = 0; i < 3; ++i) b[i] = i;
    CHECK(ptq_run(context) == PTQ_OUT_OF_RANGE);
    CHECK(strstr(ptq_last_error(), "'op'") != nullptr &&
          strstr(ptq_last_error(), "a divisor is 0") != nullptr);
    b[0] = 5;
    CHECK(ptq_run(context) == PTQ_OK);
    ptq_context_destroy(context);
    ptq_program_destroy(program);
  }
}

template <typename T>
void TestCompare(uint32_t comparison, const List<T>& a, const List<T>& b, const List<bool>& y) {
  Row("comparison %d of %d", static_cast<int>(comparison), TypeOf<T>::kDType);
  ModelBuilder m;
  const Dims dims = {static_cast<uint32_t>(a.size())};
  const uint32_t ta = m.Input("a", TypeOf<T>::kDType, dims),
                 tb = m.Input("b", TypeOf<T>::kDType, dims), ty = m.Arena("y", ptq::kBool, dims);
  m.Op(ptq::kCompare, "op", {ta, tb}, ty, ptq::CompareAttrs{comparison});
  m.Output(ty);
  Expect(m.Finish(), {Bytes(a), Bytes(b)}, y, "compare");
}

void TestCompares() {
  TestCompare<float>(ptq::kCompareEqual, {0.0f, NAN, INFINITY}, {-0.0f, NAN, INFINITY},
                     {true, false, true});
  TestCompare<float>(ptq::kCompareNotEqual, {1, NAN}, {1, NAN}, {false, true});
  TestCompare<float>(ptq::kCompareLess, {1, 2, NAN}, {2, 1, 1}, {true, false, false});
  TestCompare<int64_t>(ptq::kCompareLess, {INT64_MIN, INT64_MAX - 1}, {INT64_MAX, INT64_MAX},
                       {true, true});
  TestCompare<int32_t>(ptq::kCompareLessOrEqual, {-1, 0, 1}, {0, 0, 0}, {true, true, false});
  TestCompare<uint8_t>(ptq::kCompareLess, {200, 3}, {100, 4}, {false, true});
  TestCompare<bool>(ptq::kCompareEqual, {true, false}, {true, true}, {true, false});
}

template <typename T>
void TestWhere(const List<T>& a, const List<T>& b, const List<bool>& condition, const List<T>& y) {
  Row("where of %d", TypeOf<T>::kDType);
  ModelBuilder m;
  const uint32_t ta = m.Input("a", TypeOf<T>::kDType, {2, 1}),
                 tb = m.Input("b", TypeOf<T>::kDType, {}), tc = m.Input("c", ptq::kBool, {1, 3}),
                 ty = m.Arena("y", TypeOf<T>::kDType, {2, 3});
  m.Op(ptq::kWhere, "op", {ta, tb, tc}, ty);
  m.Output(ty);
  Expect(m.Finish(), {Bytes(a), Bytes(b), Bytes(condition)}, y, "where");
}

void TestWheres() {
  TestWhere<float>({1, 2}, {9}, {true, false, true}, {1, 9, 1, 2, 9, 2});
  TestWhere<int64_t>({INT64_MIN, 2}, {9}, {true, false, true}, {INT64_MIN, 9, INT64_MIN, 2, 9, 2});
  TestWhere<uint8_t>({1, 2}, {255}, {false, false, true}, {255, 255, 1, 255, 255, 2});
}

template <typename T>
void TestMoves() {
  Row("moves of %d", TypeOf<T>::kDType);
  const List<T> x = {1, 2, 3, 4, 5, 6};
  ModelBuilder m;
  const uint32_t tx = m.Input("x", TypeOf<T>::kDType, {2, 3}),
                 turned = m.Arena("turned", TypeOf<T>::kDType, {3, 2}),
                 padded = m.Arena("padded", TypeOf<T>::kDType, {3, 3}),
                 joined = m.Arena("joined", TypeOf<T>::kDType, {3, 4}),
                 sliced = m.Arena("sliced", TypeOf<T>::kDType, {2, 2});
  ptq::PadAttrs pad = {};
  pad.after[1] = 1;
  pad.q_value = 7;
  m.Op(ptq::kTranspose, "op", {tx}, turned, ptq::TransposeAttrs{{1, 0}});
  m.Op(ptq::kPad, "op", {turned}, padded, pad);
  const List<int32_t> index = {0};
  const uint32_t k = m.Constant("k", ptq::kI32, {1}, index.data()),
                 column = m.Arena("column", TypeOf<T>::kDType, {3, 1});
  m.Op(ptq::kGather, "op", {turned, k}, column, ptq::GatherAttrs{1});
  m.Op(ptq::kConcat, "op", {padded, column}, joined, ptq::ConcatAttrs{1, kNoClamp});
  m.Op(ptq::kSlice, "op", {joined}, sliced, ptq::SliceAttrs{{2, 3}, {-2, -1}});
  m.Output(sliced);
  const List<T> y = {3, 7, 1, 7};
  Expect(m.Finish(), {Bytes(x)}, y, "moves");
}

template <typename I>
void TestPlaces() {
  Row("places of %d", TypeOf<I>::kDType);
  const List<float> x = {1, 2, 3, 4, 5, 6};
  const List<I> rows = {0, -1, -2, 1};
  ModelBuilder gather;
  const uint32_t gx = gather.Input("x", ptq::kF32, {2, 3}),
                 gi = gather.Input("i", TypeOf<I>::kDType, {2, 2}),
                 gy = gather.Arena("y", ptq::kF32, {2});
  gather.Op(ptq::kGatherNd, "op", {gx, gi}, gy);
  gather.Output(gy);
  Expect(gather.Finish(), {Bytes(x), Bytes(rows)}, List<float>{3, 2}, "gather_nd");
  const List<I> twice = {1, -1};
  const List<float> updates = {10, 20, 30, 40, 50, 60};
  const float last[] = {40, 50, 60};
  for (uint32_t reduction : {ptq::kScatterNdNone, ptq::kScatterNdAdd}) {
    ModelBuilder scatter;
    const uint32_t sx = scatter.Input("x", ptq::kF32, {2, 3}),
                   si = scatter.Input("i", TypeOf<I>::kDType, {2, 1}),
                   su = scatter.Input("u", ptq::kF32, {2, 3}),
                   sy = scatter.Arena("y", ptq::kF32, {2, 3});
    scatter.Op(ptq::kScatterNd, "op", {sx, si, su}, sy, ptq::ScatterNdAttrs{reduction});
    scatter.Output(sy);
    List<float> y = {1, 2, 3};
    const bool adds = reduction == ptq::kScatterNdAdd;
    for (int i = 0; i < 3; ++i) y.Add(adds ? x[3 + i] + updates[i] + updates[3 + i] : last[i]);
    Expect(scatter.Finish(), {Bytes(x), Bytes(twice), Bytes(updates)}, y, "scatter_nd");
  }
}

// The places before and behind a dimension; the context can run again.
void TestNoSuchPlace() {
  Row("no such place");
  ModelBuilder m;
  const uint32_t x = m.Input("x", ptq::kF32, {4}), i = m.Input("i", ptq::kI64, {1, 1}),
                 y = m.Arena("y", ptq::kF32, {1});
  m.Op(ptq::kGatherNd, "op", {x, i}, y);
  m.Output(y);
  const List<uint8_t> file = m.Finish();
  ptq_program* program = nullptr;
  ptq_context* context = nullptr;
  if (!CHECK(ptq_program_from_memory(file.data(), file.size(), &program) == PTQ_OK)) return;
  CHECK(ptq_context_create(program, 1, &context) == PTQ_OK);
  int64_t* index = static_cast<int64_t*>(ptq_context_input(context, 1));
  for (int64_t place : {int64_t{-5}, int64_t{4}, INT64_MIN, INT64_MAX}) {
    *index = place;
    CHECK(ptq_run(context) == PTQ_OUT_OF_RANGE);
    CHECK(strstr(ptq_last_error(), "an index does not exist") != nullptr);
  }
  *index = -4;
  CHECK(ptq_run(context) == PTQ_OK);
  ptq_context_destroy(context);
  ptq_program_destroy(program);
}

template <typename T>
void TestTopKOf(const List<T>& x, uint32_t largest, const List<int64_t>& y) {
  Row("top_k of %d, largest %d", TypeOf<T>::kDType, static_cast<int>(largest));
  ModelBuilder m;
  const uint32_t columns = 2,
                 tx = m.Input("x", TypeOf<T>::kDType,
                              {static_cast<uint32_t>(x.size()) / columns, columns}),
                 ty = m.Arena("y", ptq::kI64, {static_cast<uint32_t>(y.size()) / columns, columns});
  m.Op(ptq::kTopK, "op", {tx}, ty, ptq::TopKAttrs{0, largest});
  m.Output(ty);
  Expect(m.Finish(), {Bytes(x)}, y, "top_k");
}

void TestTopK() {
  TestTopKOf<float>({3, NAN, 7, 1, 7, -INFINITY, -1, 2}, 1, {1, 3, 2, 1, 0, 2, 3, 0});
  TestTopKOf<float>({3, NAN, 7, 1, 7, -INFINITY, -1, 2}, 0, {3, 2, 0, 1});
  TestTopKOf<int64_t>({INT64_MIN, 0, INT64_MAX, 0, 0, 0}, 1, {1, 0, 2, 1});
  TestTopKOf<uint8_t>({200, 0, 3, 0, 100, 5}, 0, {1, 0, 2, 1});
}

void TestBools() {
  Row("a bool of 2");
  const uint8_t values[] = {0, 2};
  ModelBuilder m;
  m.Constant("op", ptq::kBool, {2}, values);
  const uint32_t x = m.Input("x", ptq::kF32, {1});
  m.Output(x);
  ExpectRefused(m, "a bool of 2");
}

}  // namespace

int main() {
  TestCasts();
  TestBinaries();
  TestDivisionByZero();
  TestCompares();
  TestWheres();
  TestMoves<int32_t>();
  TestMoves<int64_t>();
  TestMoves<uint8_t>();
  TestPlaces<int32_t>();
  TestPlaces<int64_t>();
  TestNoSuchPlace();
  TestTopK();
  TestBools();
  return Finish("integers_test");
}
