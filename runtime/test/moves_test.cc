// Operators that move values through the whole runtime against plain loops, and what they refuse.
#include <math.h>

#include "test/support/one_op.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

void TestConcat() {
  Random random(23);
  for (uint32_t axis = 0; axis < 4; ++axis) {
    Row("concat axis %d", static_cast<int>(axis));
    const uint32_t sizes[] = {1, 4, 3};
    const float scales[] = {0.02f, 0.05f, 0.02f};
    const int zero_points[] = {4, -3, 4};
    const float s_out = 0.02f;
    const int z_out = 4;
    ModelBuilder quantized, real;
    List<uint32_t> xi, xr;
    List<int8_t> q[3];
    List<float> f[3];
    Dims y_dims = {2, 3, 2, 5};
    y_dims[axis] = 8;
    for (int i = 0; i < 3; ++i) {
      Dims dims = y_dims;
      dims[axis] = sizes[i];
      q[i] = random.Int8s(Elements(dims));
      f[i] = random.Floats(Elements(dims));
      xi.Add(quantized.Input("x", ptq::kI8, dims, quantized.Qparams(scales[i], zero_points[i])));
      xr.Add(real.Input("x", ptq::kF32, dims));
    }
    List<int8_t> expected_q(Elements(y_dims));
    List<float> expected_f(Elements(y_dims));
    size_t inner = 1;
    for (uint32_t d = axis + 1; d < 4; ++d) inner *= y_dims[d];
    for (size_t i = 0; i < expected_q.size(); ++i) {
      size_t at = i / inner % 8, source = 0;
      while (at >= sizes[source]) at -= sizes[source++];
      const size_t from = (i / inner / 8 * sizes[source] + at) * inner + i % inner;
      const int value = q[source][from];
      expected_q[i] = source != 1
                          ? static_cast<int8_t>(value < -90 ? -90 : value)
                          : ReferenceQuantize(static_cast<float>(value + 3) * scales[1] / s_out,
                                              z_out, -90, 127);
      expected_f[i] = fmaxf(f[source][from], 0.0f);
    }
    const uint32_t yi = quantized.Arena("y", ptq::kI8, y_dims, quantized.Qparams(s_out, z_out)),
                   yr = real.Arena("y", ptq::kF32, y_dims);
    const ptq::ConcatAttrs attrs = {axis, {0.0f, INFINITY, -90, 127}};
    quantized.Op(ptq::kConcat, "concat", xi, yi, attrs);
    quantized.Output(yi);
    real.Op(ptq::kConcat, "concat", xr, yr, attrs);
    real.Output(yr);
    Expect(quantized.Finish(), {Bytes(q[0]), Bytes(q[1]), Bytes(q[2])}, expected_q, "concat i8");
    Expect(real.Finish(), {Bytes(f[0]), Bytes(f[1]), Bytes(f[2])}, expected_f, "concat f32");
  }
}

template <typename T>
void TestTransposeOf(const Dims& x_dims, const List<uint32_t>& perm, const List<T>& x) {
  Dims y_dims;
  size_t strides[8], stride = 1;
  for (size_t d = x_dims.size(); d-- > 0; stride *= x_dims[d]) strides[d] = stride;
  ptq::TransposeAttrs attrs = {};
  for (size_t i = 0; i < perm.size(); ++i) {
    attrs.perm[i] = perm[i];
    y_dims.Add(x_dims[perm[i]]);
  }
  List<T> expected(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    size_t from = 0, index = i;
    for (size_t d = perm.size(); d-- > 0; index /= y_dims[d])
      from += index % y_dims[d] * strides[perm[d]];
    expected[i] = x[from];
  }
  Expect(OneOp<T>(ptq::kTranspose, x_dims, y_dims, attrs).Finish(), {Bytes(x)}, expected,
         "transpose");
}

void TestTransposes() {
  Random random(24);
  const struct {
    Dims dims;
    List<uint32_t> perm;
  } rows[] = {
      {{1, 3, 7, 5}, {0, 2, 3, 1}},
      {{2, 7, 5, 3}, {0, 3, 1, 2}},
      {{4, 6}, {1, 0}},
      {{5}, {0}},
      {{}, {}},
      {{2, 3, 4, 5}, {3, 2, 1, 0}},
      {{2, 3, 4}, {0, 1, 2}},
      {{1, 1, 9}, {2, 0, 1}},
      {{2, 3, 2, 2, 3, 2}, {5, 0, 4, 1, 3, 2}},
      {{1, 3, 96, 96}, {0, 2, 3, 1}},
  };
  for (const auto& row : rows) {
    Row("transpose of rank %d", static_cast<int>(row.dims.size()));
    TestTransposeOf(row.dims, row.perm, random.Int8s(Elements(row.dims)));
    TestTransposeOf(row.dims, row.perm, random.Floats(Elements(row.dims)));
  }
}

template <typename T>
void TestPadOf(const Dims& x_dims, const List<uint32_t>& before, const List<uint32_t>& after,
               const List<T>& x) {
  ptq::PadAttrs attrs = {};
  attrs.value = -0.5f;
  attrs.q_value = 3;
  Dims y_dims;
  for (size_t d = 0; d < x_dims.size(); ++d) {
    attrs.before[d] = before[d];
    attrs.after[d] = after[d];
    y_dims.Add(before[d] + x_dims[d] + after[d]);
  }
  List<T> expected(Elements(y_dims));
  for (size_t i = 0; i < expected.size(); ++i) {
    size_t index = i, from = 0, stride = 1;
    bool inside = true;
    for (size_t d = x_dims.size(); d-- > 0; index /= y_dims[d]) {
      const size_t at = index % y_dims[d];
      if (at < before[d] || at >= before[d] + x_dims[d]) {
        inside = false;
        break;
      }
      from += (at - before[d]) * stride;
      stride *= x_dims[d];
    }
    expected[i] = inside ? x[from] : sizeof(T) == 1 ? static_cast<T>(3) : static_cast<T>(-0.5f);
  }
  Expect(OneOp<T>(ptq::kPad, x_dims, y_dims, attrs).Finish(), {Bytes(x)}, expected, "pad");
}

void TestPads() {
  Random random(25);
  const struct {
    Dims dims;
    List<uint32_t> before, after;
  } rows[] = {
      {{1, 3, 4, 5}, {0, 1, 2, 0}, {0, 3, 0, 0}},
      {{2, 2}, {1, 0}, {0, 3}},
      {{3}, {2}, {2}},
      {{2, 3, 2}, {0, 0, 0}, {0, 0, 0}},
      {{1, 40, 40, 16}, {0, 1, 1, 0}, {0, 1, 1, 0}},
      {{}, {}, {}},
      {{2, 3, 4, 5}, {0, 0, 0, 1}, {0, 0, 0, 2}},
      {{2, 3, 4, 5}, {1, 0, 2, 0}, {0, 0, 1, 0}},
  };
  for (const auto& row : rows) {
    Row("pad of rank %d", static_cast<int>(row.dims.size()));
    TestPadOf(row.dims, row.before, row.after, random.Int8s(Elements(row.dims)));
    TestPadOf(row.dims, row.before, row.after, random.Floats(Elements(row.dims)));
  }
}

// y[i] = x[start + i * step]; `count` gives y's dimensions.
struct SliceCase {
  Dims dims, count;
  List<int32_t> start, step;
};

ptq::SliceAttrs AttrsOf(const SliceCase& t) {
  ptq::SliceAttrs attrs = {};
  for (size_t d = 0; d < t.start.size(); ++d) {
    attrs.start[d] = t.start[d];
    attrs.step[d] = t.step[d];
  }
  return attrs;
}

template <typename T>
void TestSliceOf(const SliceCase& t, const List<T>& x) {
  List<T> expected(Elements(t.count));
  for (size_t i = 0; i < expected.size(); ++i) {
    size_t index = i;
    int64_t from = 0, stride = 1;
    for (size_t d = t.dims.size(); d-- > 0; index /= t.count[d]) {
      from += (t.start[d] + static_cast<int64_t>(index % t.count[d]) * t.step[d]) * stride;
      stride *= t.dims[d];
    }
    expected[i] = x[static_cast<size_t>(from)];
  }
  Expect(OneOp<T>(ptq::kSlice, t.dims, t.count, AttrsOf(t)).Finish(), {Bytes(x)}, expected,
         "slice");
}

void TestSlices() {
  Random random(31);
  const SliceCase rows[] = {
      {{1, 28, 28, 116}, {1, 28, 28, 58}, {0, 0, 0, 58}, {1, 1, 1, 1}},  // half of the channels
      {{1, 28, 28, 116}, {1, 28, 28, 58}, {0, 0, 0, 1}, {1, 1, 1, 2}},   // every other
      {{1, 9, 8, 3}, {1, 9, 8, 3}, {0, 0, 0, 2}, {1, 1, 1, -1}},         // BGR
      {{2, 9, 8, 3}, {2, 4, 8, 3}, {0, 1, 0, 0}, {1, 2, 1, 1}},
      {{2, 9, 8, 3}, {2, 5, 3, 3}, {0, 8, 6, 0}, {1, -2, -3, 1}},
      {{2, 9, 8, 1}, {1, 3, 8, 1}, {1, 6, 0, 0}, {5, 1, 1, 7}},
      {{64, 700}, {32, 700}, {32, 0}, {1, 1}},
      {{64, 700}, {64, 1}, {0, 699}, {1, -2147483647}},
      {{7}, {7}, {6}, {-1}},
      {{5, 4}, {5, 4}, {4, 3}, {-1, -1}},
      {{1}, {1}, {0}, {2147483647}},
      {{}, {}, {}, {}},
      {{2, 3, 2, 2, 3, 2}, {1, 3, 1, 2, 2, 2}, {1, 2, 0, 0, 0, 0}, {1, -1, 1, 1, 2, 1}},
  };
  for (const SliceCase& row : rows) {
    Row("slice of rank %d to %d elements", static_cast<int>(row.dims.size()),
        static_cast<int>(Elements(row.count)));
    TestSliceOf(row, random.Int8s(Elements(row.dims)));
    TestSliceOf(row, random.Floats(Elements(row.dims)));
  }
}

template <typename T>
ModelBuilder GatherModel(const Dims& dims, const Dims& y_dims, uint32_t axis,
                         const List<int32_t>& indices) {
  ModelBuilder m;
  const uint32_t q = sizeof(T) == 1 ? m.Qparams(0.1f, 3) : ptq::kNone;
  const uint32_t x = m.Input("x", DTypeOf<T>(), dims, q);
  const uint32_t k =
      m.Constant("k", ptq::kI32, Dims{static_cast<uint32_t>(indices.size())}, indices.data());
  const uint32_t y = m.Arena("y", DTypeOf<T>(), y_dims, q);
  m.Op(ptq::kGather, "op", {x, k}, y, ptq::GatherAttrs{axis});
  m.Output(y);
  return m;
}

template <typename T>
void TestGatherOf(const Dims& dims, uint32_t axis, const List<int32_t>& indices, const List<T>& x) {
  Dims y_dims = dims;
  const size_t count = indices.size();
  y_dims[axis] = static_cast<uint32_t>(count);
  size_t inner = 1;
  for (size_t d = axis + 1; d < dims.size(); ++d) inner *= dims[d];
  List<T> expected(Elements(y_dims));
  for (size_t i = 0; i < expected.size(); ++i) {
    const size_t from = static_cast<size_t>(indices[i / inner % count]);
    expected[i] = x[(i / inner / count * dims[axis] + from) * inner + i % inner];
  }
  Expect(GatherModel<T>(dims, y_dims, axis, indices).Finish(), {Bytes(x)}, expected, "gather");
}

void TestGathers() {
  Random random(32);
  List<int32_t> shuffle, halves, backwards, odd;
  for (int32_t i = 0; i < 116; ++i) {
    backwards.Add(115 - i);
    if (i % 2 == 1) odd.Add(i);
    shuffle.Add(i / 2 + i % 2 * 58);
    halves.Add((i + 58) % 116);
  }
  const struct {
    Dims dims;
    uint32_t axis;
    List<int32_t> indices;
  } rows[] = {
      {{1, 28, 28, 116}, 3, shuffle},
      {{1, 28, 28, 116}, 3, halves},
      {{1, 28, 28, 116}, 3, backwards},
      {{1, 28, 28, 116}, 3, odd},
      {{2, 5, 3, 4}, 3, {3, 0, 2, 1}},
      {{2, 5, 3, 9}, 3, {2, 5, 3, 6, 4, 7}},
      {{2, 5, 3, 9}, 3, {7, 7, 7}},
      {{2, 5, 3, 9}, 3, {8}},
      {{2, 7, 5, 9}, 0, {1, 1, 0}},
      {{2, 7, 5, 9}, 1, {6, 0, 3, 3}},
      {{2, 7, 5, 9}, 2, {0, 1, 2, 4, 4}},
      {{2, 7, 5, 9}, 3, {8, 7, 0}},
      {{2, 7, 5, 64}, 3, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 40, 41}},
      {{1, 1, 1, 1}, 3, {0, 0, 0, 0, 0}},
      {{5}, 0, {4}},
  };
  for (const auto& row : rows) {
    Row("gather %d of axis %d", static_cast<int>(row.indices.size()), static_cast<int>(row.axis));
    TestGatherOf(row.dims, row.axis, row.indices, random.Int8s(Elements(row.dims)));
    TestGatherOf(row.dims, row.axis, row.indices, random.Floats(Elements(row.dims)));
  }
}

template <typename T>
void TestDilateOf(const Dims& dims, const List<uint32_t>& step, const List<T>& x) {
  ptq::DilateAttrs attrs = {};
  attrs.value = 1.5f;
  attrs.q_value = -7;
  Dims y_dims;
  for (size_t d = 0; d < dims.size(); ++d) {
    attrs.step[d] = step[d];
    y_dims.Add((dims[d] - 1) * step[d] + 1);
  }
  List<T> expected(Elements(y_dims));
  for (size_t i = 0; i < expected.size(); ++i) {
    size_t index = i, from = 0, stride = 1;
    bool filler = false;
    for (size_t d = dims.size(); d-- > 0; index /= y_dims[d]) {
      const size_t at = index % y_dims[d];
      filler = filler || at % step[d] != 0;
      from += at / step[d] * stride;
      stride *= dims[d];
    }
    expected[i] = filler ? sizeof(T) == 1 ? static_cast<T>(-7) : static_cast<T>(1.5f) : x[from];
  }
  Expect(OneOp<T>(ptq::kDilate, dims, y_dims, attrs).Finish(), {Bytes(x)}, expected, "dilate");
}

void TestDilates() {
  Random random(33);
  const struct {
    Dims dims;
    List<uint32_t> step;
  } rows[] = {
      {{1, 14, 15, 24}, {1, 2, 2, 1}},
      {{2, 3, 4, 5}, {1, 3, 1, 1}},
      {{2, 3, 4, 5}, {2, 1, 1, 3}},
      {{1, 1, 1, 1}, {9, 9, 9, 9}},
      {{4}, {1}},
      {{}, {}},
      {{1, 9, 1, 2}, {1, 4, 65535, 1}},
  };
  for (const auto& row : rows) {
    Row("dilate of rank %d", static_cast<int>(row.dims.size()));
    TestDilateOf(row.dims, row.step, random.Int8s(Elements(row.dims)));
    TestDilateOf(row.dims, row.step, random.Floats(Elements(row.dims)));
  }
}

void TestSliceRefusals() {
  const Dims x = {2, 5};
  const auto refuse = [&](const Dims& y, const ptq::SliceAttrs& attrs, const char* words) {
    ExpectRefused(OneOp<float>(ptq::kSlice, x, y, attrs), words);
  };
  Row("slice refusals");
  refuse({2, 5}, {{0, 0}, {1, 0}}, "step[1]: 0");
  refuse({2, 5}, {{0, 1}, {1, 1}}, "start[1], step[1]: 1, 1 reads 1 ... 5 of 5 elements of 'x'");
  refuse({2, 5}, {{0, -1}, {1, 1}}, "start[1]");
  refuse({2, 5}, {{0, 3}, {1, -1}}, "reads 3 ... -1");
  refuse({2, 2}, {{0, 0}, {1, INT32_MAX}}, "start[1]");
  refuse({2, 2}, {{0, 4}, {1, INT32_MIN}}, "start[1]");
  refuse({2, 5}, {{0, 0, 1}, {1, 1, 0}}, "start[2]: 1 beyond the rank 2");
  refuse({10}, {{0}, {1}}, "rank");
}

void TestGatherRefusals() {
  Row("gather refusals");
  const Dims x = {2, 5};
  ExpectRefused(GatherModel<float>(x, {2, 1}, 1, {5}), "indices 'k' [0]: 5 is not in 0 ... 4");
  ExpectRefused(GatherModel<float>(x, {2, 2}, 1, {0, -1}), "indices 'k' [1]: -1");
  ExpectRefused(GatherModel<float>(x, {2, 1}, 2, {0}), "axis: 2");
  ExpectRefused(GatherModel<float>(x, {2, 2}, 1, {0}), "dims[1]: 2 instead of 1");
  ModelBuilder m;
  const uint32_t tx = m.Input("x", ptq::kF32, x), k = m.Input("k", ptq::kI32, Dims{1}),
                 y = m.Arena("y", ptq::kF32, Dims{2, 1});
  m.Op(ptq::kGather, "op", {tx, k}, y, ptq::GatherAttrs{1});
  m.Output(y);
  ExpectRefused(m, "indices 'k' storage: arena");
}

void TestDilateRefusals() {
  Row("dilate refusals");
  const auto refuse = [](const Dims& y, const ptq::DilateAttrs& attrs, const char* words) {
    ExpectRefused(OneOp<float>(ptq::kDilate, {2, 5}, y, attrs), words);
    ExpectRefused(OneOp<int8_t>(ptq::kDilate, {2, 5}, y, attrs), words);
  };
  refuse({2, 5}, {{1, 0}, 0, 0}, "step[1]: 0 is not in 1");
  refuse({2, 5}, {{1, 1, 1}, 0, 0}, "step[2]: 1 beyond the rank 2");
  refuse({2, 5}, {{1, 2}, 0, 0}, "dims[1]: 5 instead of 9");
  refuse({2, 3}, {{1, UINT32_MAX}, 0, 0}, "dims[1]: 3 instead of 17179869181");
  ExpectRefused(OneOp<int8_t>(ptq::kDilate, {2, 5}, {2, 9}, ptq::DilateAttrs{{1, 2}, 0, 128}),
                "q_value: 128");
  ExpectRefused(OneOp<float>(ptq::kDilate, {2, 5}, {2, 9}, ptq::DilateAttrs{{1, 2}, NAN, 0}),
                "value: NaN");
}

}  // namespace

int main() {
  TestConcat();
  TestTransposes();
  TestPads();
  TestSlices();
  TestGathers();
  TestDilates();
  TestSliceRefusals();
  TestGatherRefusals();
  TestDilateRefusals();
  return Finish("moves_test");
}
