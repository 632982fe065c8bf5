// The loader believes nothing: truncations, byte flips and rule-breaking files are refused, or load
// and run inside their arena.
#include <inttypes.h>

#include "test/support/compare.h"
#include "test/support/model_builder.h"
#include "test/support/random.h"
#include "test/support/runner.h"

namespace {

using namespace ptq_test;

constexpr ptq::ClampAttrs kNoClamp = {-1e30f, 1e30f, -128, 127};

// Tensor indices of the small model, for tests that change one.
enum { kX, kQ, kW, kB, kConv, kPool, kFlat, kFcW, kFcB, kY, kSoft, kTensorCount };

// quantize → conv2d → average_pool2d → reshape in place → fully_connected with float output →
// softmax.
ModelBuilder SmallModel() {
  Random random(5);
  ModelBuilder m;
  const uint32_t q_in = m.Qparams(0.02f, 3),
                 q_w = m.Qparams(List<float>{0.01f, 0.02f, 0.03f}, 0, 0);
  const uint32_t q_conv = m.Qparams(0.05f, -5), q_fc = m.Qparams(0.01f);
  m.Input("x", ptq::kF32, Dims{1, 4, 4, 2});
  m.Arena("q", ptq::kI8, Dims{1, 4, 4, 2}, q_in);
  m.Constant("w", ptq::kI8, Dims{3, 3, 3, 2}, random.Int8s(54, -127, 127).data(), q_w);
  m.Constant("b", ptq::kI32, Dims{3}, random.Ints(3, -100, 100).data());
  m.Arena("conv", ptq::kI8, Dims{1, 4, 4, 3}, q_conv);
  m.Arena("pool", ptq::kI8, Dims{1, 2, 2, 3}, q_conv);
  m.Arena("flat", ptq::kI8, Dims{1, 12}, q_conv);
  m.Constant("fc_w", ptq::kI8, Dims{5, 12}, random.Int8s(60, -127, 127).data(), q_fc);
  m.Constant("fc_b", ptq::kI32, Dims{5}, random.Ints(5, -100, 100).data());
  m.Arena("y", ptq::kF32, Dims{1, 5});
  m.Arena("soft", ptq::kF32, Dims{1, 5});
  m.Op(ptq::kQuantize, "quantize", {kX}, kQ);
  m.Op(ptq::kConv2d, "conv", {kQ, kW, kB}, kConv,
       ptq::Conv2dAttrs{1, 1, 1, 1, 1, 1, 1, 1, 1, kNoClamp});
  m.Op(ptq::kAveragePool2d, "pool", {kConv}, kPool,
       ptq::Pool2dAttrs{2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0, kNoClamp});
  m.Op(ptq::kReshape, "flatten", {kPool}, kFlat);
  m.Op(ptq::kFullyConnected, "fc", {kFlat, kFcW, kFcB}, kY, kNoClamp);
  m.Op(ptq::kSoftmax, "softmax", {kY}, kSoft, ptq::SoftmaxAttrs{1});
  m.ShareMemory(kFlat, kPool);
  m.Output(kSoft);
  return m;
}

// The operators of format 1.1 in one chain: quantize → lookup → linear resize → gather → slice →
// dilate → reduce → dequantize → hard_sigmoid → maximum; arg_max beside it.
ModelBuilder NewerModel() {
  Random random(6);
  ModelBuilder m;
  const uint32_t q = m.Qparams(0.02f, 3), q_other = m.Qparams(0.03f, -2);
  const List<int32_t> indices = {4, 0, 2, 2};
  const uint32_t x = m.Input("x", ptq::kF32, Dims{1, 3, 4, 5});
  const uint32_t table = m.Constant("table", ptq::kI8, Dims{256}, random.Int8s(256).data(), q);
  const uint32_t k = m.Constant("k", ptq::kI32, Dims{4}, indices.data());
  const uint32_t quantized = m.Arena("quantized", ptq::kI8, Dims{1, 3, 4, 5}, q_other),
                 looked_up = m.Arena("looked_up", ptq::kI8, Dims{1, 3, 4, 5}, q),
                 resized = m.Arena("resized", ptq::kI8, Dims{1, 5, 6, 5}, q_other),
                 gathered = m.Arena("gathered", ptq::kI8, Dims{1, 5, 6, 4}, q_other),
                 sliced = m.Arena("sliced", ptq::kI8, Dims{1, 3, 6, 2}, q_other),
                 dilated = m.Arena("dilated", ptq::kI8, Dims{1, 5, 11, 2}, q_other),
                 largest = m.Arena("largest", ptq::kI32, Dims{1, 5, 1, 2}),
                 reduced = m.Arena("reduced", ptq::kI8, Dims{1, 1, 1, 2}, q),
                 real = m.Arena("real", ptq::kF32, Dims{1, 1, 1, 2}),
                 gate = m.Arena("gate", ptq::kF32, Dims{1, 1, 1, 2}),
                 y = m.Arena("y", ptq::kF32, Dims{1, 1, 1, 2});
  m.Op(ptq::kQuantize, "quantize", {x}, quantized);
  m.Op(ptq::kLookup, "lookup", {quantized, table}, looked_up);
  m.Op(ptq::kResize, "resize", {looked_up}, resized,
       ptq::ResizeAttrs{ptq::kResizeLinear, 0, 0, 1.6f, 1.5f, kNoClamp});
  m.Op(ptq::kGather, "gather", {resized, k}, gathered, ptq::GatherAttrs{3});
  m.Op(ptq::kSlice, "slice", {gathered}, sliced, ptq::SliceAttrs{{0, 4, 0, 3}, {1, -2, 1, -1}});
  m.Op(ptq::kDilate, "dilate", {sliced}, dilated, ptq::DilateAttrs{{1, 2, 2, 1}, 0, -2});
  m.Op(ptq::kArgMax, "arg_max", {dilated}, largest, ptq::ArgMaxAttrs{2, 1});
  m.Op(ptq::kReduce, "reduce", {dilated}, reduced, ptq::ReduceAttrs{0, 6, kNoClamp});
  m.Op(ptq::kDequantize, "dequantize", {reduced}, real);
  m.Op(ptq::kUnary, "unary", {real}, gate,
       ptq::UnaryAttrs{ptq::kUnaryHardSigmoid, 0.2f, 0.5f, kNoClamp});
  m.Op(ptq::kMaximum, "maximum", {real, gate}, y, kNoClamp);
  m.Output(y);
  m.Output(largest);
  return m;
}

// Loads; if that succeeds, runs. True if loaded.
bool LoadAndRun(const List<uint8_t>& file) {
  ptq_program* program = nullptr;
  const ptq_status status = ptq_program_from_memory(file.data(), file.size(), &program);
  if (status != PTQ_OK) {
    CHECK(program == nullptr && ptq_last_error()[0] != '\0');
    CHECK(status == PTQ_BAD_FILE || status == PTQ_UNSUPPORTED || status == PTQ_OUT_OF_MEMORY);
    return false;
  }
  ptq_context* context = nullptr;
  if (ptq_context_create(program, 2, &context) == PTQ_OK) CHECK_OK(ptq_run(context));
  ptq_context_destroy(context);
  ptq_program_destroy(program);
  return true;
}

void TestValid() {
  Row("valid file");
  const List<uint8_t> file = SmallModel().Finish();
  CHECK(LoadAndRun(file));
  CHECK(LoadAndRun(NewerModel().Finish()));
  // At every alignment: a misaligned buffer is copied.
  List<uint8_t> shifted(file.size() + 64);
  for (size_t shift = 0; shift < 64; shift += 7) {
    memcpy(shifted.data() + shift, file.data(), file.size());
    ptq_program* program = nullptr;
    CHECK_OK(ptq_program_from_memory(shifted.data() + shift, file.size(), &program));
    CHECK(ptq_program_op_count(program) == 6 && ptq_program_input_count(program) == 1);
    ptq_tensor_info info;
    CHECK_OK(ptq_program_output_info(program, 0, &info));
    CHECK(strcmp(info.name, "soft") == 0 && info.rank == 2 && info.dims[1] == 5 &&
          info.size_bytes == 20);
    CHECK(ptq_program_output_info(program, 1, &info) == PTQ_INVALID_ARGUMENT);
    ptq_op_info op;
    CHECK_OK(ptq_program_op_info(program, 1, &op));
    CHECK(strcmp(op.name, "conv") == 0 && strcmp(op.kind, "conv2d") == 0 && op.input_count == 3);
    ptq_context* context = nullptr;
    CHECK(ptq_context_create(program, 0, &context) == PTQ_INVALID_ARGUMENT);
    CHECK(ptq_context_create(program, 65, &context) == PTQ_INVALID_ARGUMENT);
    ptq_program_destroy(program);
  }
}

void TestTruncations() {
  const List<uint8_t> file = SmallModel().Finish();
  for (size_t size = 0; size < file.size(); ++size) {
    Row("truncated to %d", static_cast<int>(size));
    List<uint8_t> cut;
    cut.Append(file.data(), size);
    cut.Resize(cut.size());
    if (size > 0) CHECK(!LoadAndRun(cut));
    // The same with a header that agrees with the size.
    if (size < sizeof(ptq::FileHeader)) continue;
    const uint64_t file_size = size;
    memcpy(cut.data() + offsetof(ptq::FileHeader, file_size), &file_size, sizeof file_size);
    FixCrc(&cut);
    CHECK(!LoadAndRun(cut) || size + 64 > file.size());
  }
}

void TestFlips(const List<uint8_t>& file) {
  const uint8_t masks[] = {0x01, 0x80, 0xFF};
  size_t loaded = 0;
  for (size_t i = 0; i < file.size(); ++i) {
    for (uint8_t mask : masks) {
      Row("byte %d ^ 0x%02x", static_cast<int>(i), mask);
      List<uint8_t> changed = file;
      changed[i] ^= mask;
      // The checksum or the header's own rules refuse it. Only version_minor (bytes 10, 11) may
      // grow unnoticed.
      CHECK(!LoadAndRun(changed) || i == 10 || i == 11);
      FixCrc(&changed);
      loaded += LoadAndRun(changed) ? 1 : 0;
    }
  }
  Row("flips");
  CHECK(loaded > 100);  // weights and names may take any value; were nothing loaded, the test would
                        // test the checksum only
}

// Each row breaks one rule of the format; the message must name the field.
template <typename T>
void ExpectRefusal(const char* section, size_t offset, T value, const char* field) {
  List<uint8_t> file = SmallModel().Finish();
  size_t base = 0;
  if (section[0] != '\0') {
    for (size_t at = 64; at < 64 + 11 * 32; at += 32) {
      ptq::SectionEntry entry;
      memcpy(&entry, file.data() + at, sizeof entry);
      if (memcmp(entry.kind, section, 4) == 0) base = static_cast<size_t>(entry.offset);
    }
  }
  memcpy(file.data() + base + offset, &value, sizeof value);
  FixCrc(&file);
  Row("%s + %d", section, static_cast<int>(offset));
  CHECK(!LoadAndRun(file));
  if (!CHECK(strstr(ptq_last_error(), field) != nullptr))
    fprintf(stderr, "  message: %s\n", ptq_last_error());
}

void TestFields() {
  ExpectRefusal<uint8_t>("", 0, 0x00, "magic");
  ExpectRefusal<uint16_t>("", 8, 2, "written by 'ptq test'");
  ExpectRefusal<uint32_t>("", 12, 60, "header_size");
  ExpectRefusal<uint64_t>("", 16, 1, "file_size");
  ExpectRefusal<uint32_t>("", 28, 0, "section_count");
  ExpectRefusal<uint32_t>("", 28, 65, "section_count");
  ExpectRefusal<uint32_t>("", 32, 0, "targets");
  ExpectRefusal<uint32_t>("", 36, 1, "reserved");
  ExpectRefusal<uint8_t>("", 63, 'x', "producer");
  ExpectRefusal<uint32_t>("", 64, 0x52545441 /* ATTR */, "kind");
  ExpectRefusal<uint32_t>("", 64, 0x58585858 /* XXXX */, "required section");
  ExpectRefusal<uint32_t>("", 68, 2, "flags");
  ExpectRefusal<uint64_t>("", 72, 65, "offset");
  ExpectRefusal<uint64_t>("", 72, uint64_t{1} << 63, "offset");
  ExpectRefusal<uint64_t>("", 80, ~uint64_t{0}, "size");
  ExpectRefusal<uint32_t>("", 64 + 32 + 28, 0, "");
  ExpectRefusal<float>("SCAL", 0, 0.0f, "scale");
  ExpectRefusal<float>("SCAL", 4, -1.0f, "scale");
  ExpectRefusal<uint32_t>("SCAL", 8, 0x7FC00000, "scale");
  ExpectRefusal<uint32_t>("QPRM", 0, 1000, "scale_begin");
  ExpectRefusal<int32_t>("QPRM", 8, 128, "zero_point");
  ExpectRefusal<int32_t>("QPRM", 16 + 8, 1, "zero_point");
  ExpectRefusal<int32_t>("QPRM", 16 + 12, 1, "axis");
  ExpectRefusal<uint32_t>("TENS", 0, 100000, "name");
  ExpectRefusal<uint8_t>("TENS", 4, 9, "dtype");
  ExpectRefusal<uint8_t>("TENS", 4, ptq::kI16, "storage");
  ExpectRefusal<uint8_t>("TENS", 5, 9, "rank");
  ExpectRefusal<uint8_t>("TENS", 6, 3, "storage");
  ExpectRefusal<uint32_t>("TENS", 8, 0, "qparams");
  ExpectRefusal<uint32_t>("TENS", 64 * kQ + 8, ptq::kNone, "qparams");
  ExpectRefusal<uint32_t>("TENS", 64 * kQ + 8, 77, "qparams");
  ExpectRefusal<uint64_t>("TENS", 16, 32, "offset");
  ExpectRefusal<uint64_t>("TENS", 16, uint64_t{1} << 40, "offset");
  ExpectRefusal<uint64_t>("TENS", 24, 1, "size");
  ExpectRefusal<uint32_t>("TENS", 32, 0, "dims[0]");
  ExpectRefusal<uint32_t>("TENS", 32 + 16, 1, "dims[4]");
  ExpectRefusal<uint16_t>("OPRS", 0, 99, "kind");
  ExpectRefusal<uint16_t>("OPRS", 2, 1, "flags");
  ExpectRefusal<uint32_t>("OPRS", 8, 1000, "index_begin");
  ExpectRefusal<uint16_t>("OPRS", 12, 2, "input_count");
  ExpectRefusal<uint16_t>("OPRS", 14, 2, "output_count");
  ExpectRefusal<uint32_t>("OPRS", 32 + 16, 2, "attr_begin");
  ExpectRefusal<uint32_t>("OPRS", 32 + 20, 48, "attr_size");
  ExpectRefusal<uint32_t>("INDX", 0, 1000, "does not exist");
  ExpectRefusal<uint32_t>("INDX", 0, kSoft, "read before it is written");
  ExpectRefusal<uint32_t>("INDX", 4, kW, "output");
  ExpectRefusal<uint32_t>("INDX", 8, kX, "");
  ExpectRefusal<uint32_t>("INPT", 0, kW, "INPT");
  ExpectRefusal<uint32_t>("OUTP", 0, kW, "OUTP");
  ExpectRefusal<uint32_t>("OUTP", 0, 1000, "OUTP");
  ExpectRefusal<uint64_t>("PLAN", 0, 64, "offset");
  ExpectRefusal<uint64_t>("PLAN", 0, 1u << 30, "arena_size");
  ExpectRefusal<uint32_t>("PLAN", 8, 32, "alignment");
  ExpectRefusal<uint32_t>("ATTR", 0, 0, "stride");
  ExpectRefusal<uint32_t>("ATTR", 0, 2, "height");
  ExpectRefusal<uint32_t>("ATTR", 8, 100000, "dilation");
  ExpectRefusal<uint32_t>("ATTR", 32, 2, "groups");
  ExpectRefusal<uint32_t>("ATTR", 36, 0x7FC00000, "clamp");
  ExpectRefusal<int32_t>("ATTR", 44, 128, "q_min");
  ExpectRefusal<int8_t>("WGTS", 3, -128, "-128");
  ExpectRefusal<int32_t>("WGTS", 64, INT32_MAX, "overflow");
}

void TestMemoryPlan() {
  struct {
    int tensor, other;
    uint64_t delta;
    bool good;
  } rows[] = {
      {kConv, kQ, 0, false},   // output on its own input
      {kPool, kX, 0, false},   // inputs live for the whole program
      {kPool, kX, 64, false},  // likewise, in the middle of one
      {kPool, kQ, 0, true},    // q is dead by then
      {kY, kConv, 0, true},    // so is conv
      {kSoft, kY, 0, false},   // only reshape may share its input's memory
      {kY, kFlat, 0, false},
  };
  for (const auto& row : rows) {
    Row("tensor %d on %d", row.tensor, row.other);
    ModelBuilder m = SmallModel();
    m.ShareMemory(row.tensor, row.other, row.delta);
    if (row.tensor == kPool) m.ShareMemory(kFlat, kPool);
    CHECK(LoadAndRun(m.Finish()) == row.good);
  }
}

// Two heads and their concat, at their place in it or not.
List<uint8_t> HeadsModel(float hi, uint64_t second_at) {
  ModelBuilder m;
  const uint32_t x = m.Input("x", ptq::kF32, {1, 4, 16}), a = m.Arena("a", ptq::kF32, {1, 4, 16}),
                 b = m.Arena("b", ptq::kF32, {1, 4, 16}), y = m.Arena("y", ptq::kF32, {1, 8, 16});
  m.Op(ptq::kClamp, "same", {x}, a, kNoClamp);
  m.Op(ptq::kAdd, "sum", {x, a}, b, kNoClamp);
  m.Op(ptq::kConcat, "concat", {a, b}, y, ptq::ConcatAttrs{1, {-INFINITY, hi, -128, 127}});
  m.ShareMemory(a, y);
  m.ShareMemory(b, y, second_at);
  m.Output(y);
  return m.Finish();
}

void TestConcatInPlace() {
  Row("concat in place");
  const List<uint8_t> file = HeadsModel(INFINITY, 256);
  Random random(8);
  const List<float> x = random.Floats(64);
  RunEverywhere(file, {Bytes(x)}, [&](const ptq_context* context) {
    const float* y = static_cast<const float*>(ptq_context_output(context, 0));
    List<float> expected(128);
    for (size_t i = 0; i < 64; ++i) {
      expected[i] = x[i];
      expected[64 + i] = x[i] + x[i];
    }
    SameBytes(y, expected.data(), 128, "concat in place");
  });
  CHECK(!LoadAndRun(HeadsModel(INFINITY, 192)));  // half on the other head
  CHECK(!LoadAndRun(HeadsModel(1.0f, 256)));      // the clamp changes values
}

// A small file whose column pointers would take 2^32 bytes and more: far more than it states.
void TestHugeWorkspace() {
  Row("huge workspace");
  constexpr uint32_t kWidth = 65536, kHeight = 16384;
  const List<float> w(2 * kHeight);
  ModelBuilder m;
  const uint32_t x = m.Input("x", ptq::kF32, {1, 1, kWidth, 2}),
                 weights = m.Constant("w", ptq::kF32, {2, kHeight, 1, 1}, w.data()),
                 y = m.Arena("y", ptq::kF32, {1, 1, kWidth, 2});
  m.Op(ptq::kConv2d, "conv", {x, weights}, y,
       ptq::Conv2dAttrs{1, 1, 1, 1, kHeight / 2, 0, kHeight / 2 - 1, 0, 2, kNoClamp});
  m.Output(y);
  const List<uint8_t> file = m.Finish();
  ptq_program* program = nullptr;
  const ptq_status status = ptq_program_from_memory(file.data(), file.size(), &program);
  CHECK(status == PTQ_OUT_OF_MEMORY);
  ptq_program_destroy(program);
}

void TestEnvironment() {
  Row("PTQ_CPU");
  const List<uint8_t> file = SmallModel().Finish();
  ptq_program* program = nullptr;
  setenv("PTQ_CPU", "z80", 1);
  CHECK(ptq_program_from_memory(file.data(), file.size(), &program) == PTQ_INVALID_ARGUMENT);
#if defined(__x86_64__)
  setenv("PTQ_CPU", "neon", 1);
#else
  setenv("PTQ_CPU", "avx2", 1);
#endif
  CHECK(ptq_program_from_memory(file.data(), file.size(), &program) == PTQ_UNSUPPORTED);
  unsetenv("PTQ_CPU");
}

}  // namespace

int main() {
  TestValid();
  TestTruncations();
  TestFlips(SmallModel().Finish());
  TestFlips(NewerModel().Finish());
  TestFields();
  TestMemoryPlan();
  TestConcatInPlace();
  TestHugeWorkspace();
  TestEnvironment();
  return Finish("loader_test");
}
