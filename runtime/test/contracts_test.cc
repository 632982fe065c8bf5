// Contracts that run (kernels/checked.h): in sanitizer builds a kernel whose caller breaks its
// contract ends the program; in all others the lists have the kernels themselves.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "kernels/checked.h"
#include "kernels/convert/contract.h"
#include "kernels/copy/contract.h"
#include "kernels/depthwise/contract.h"
#include "kernels/elementwise/contract.h"
#include "kernels/gemm/contract.h"
#include "kernels/move/contract.h"
#include "kernels/pool/contract.h"
#include "kernels/reduce/contract.h"
#include "kernels/softmax/contract.h"
#include "test/support/check.h"
#include "test/support/list.h"

namespace {

using namespace ptq_test;

template <typename Kernel>
const Kernel& Last(const ptq::KernelList<Kernel>& list) {
  return list[list.count - 1];
}

#if defined(PTQ_CHECK_CONTRACTS)

// True if `body` ends the process as a broken contract does.
template <typename Body>
bool Aborts(Body body) {
  fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    close(STDERR_FILENO);
    body();
    _exit(0);
  }
  int status = 0;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

// A call that keeps its contract, and ways to break it: each breaks it alone.
template <typename Kernel, typename Call>
struct Break {
  const char* what;
  void (*apply)(Call*);
};

template <typename Kernel, typename Call, size_t kCount>
void TestBreaks(const Kernel& kernel, const Call& call,
                const Break<Kernel, Call> (&breaks)[kCount]) {
  Row("%s", kernel.name);
  CHECK(!Aborts([&] { kernel.run(call); }));
  for (const Break<Kernel, Call>& each : breaks) {
    Row("%s: %s", kernel.name, each.what);
    Call broken = call;
    each.apply(&broken);
    CHECK(Aborts([&] { kernel.run(broken); }));
  }
}

void TestGemm() {
  using Tile = ptq::GemmI8Tile;
  const ptq::GemmI8Kernel& kernel = Last(ptq::kGemmI8Kernels);
  static ptq::Array<int8_t> x, weights, y;
  static ptq::Array<int32_t> bias;
  static ptq::Array<float> multipliers;
  static const int8_t* rows[64];
  CHECK_OK(x.Allocate(64));
  CHECK_OK(weights.Allocate(3 * kernel.nr));
  CHECK_OK(bias.Allocate(kernel.nr));
  CHECK_OK(multipliers.Allocate(kernel.nr));
  CHECK_OK(y.Allocate(kernel.mr * 8));
  for (const int8_t*& row : rows) row = x.data();
  Tile tile = {};
  tile.rows = rows;
  tile.taps = 1;
  tile.depth = 3;
  tile.weights = weights.data();
  tile.bias = bias.data();
  tile.multiplier = multipliers.data();
  tile.valid_rows = kernel.mr;
  tile.columns = tile.output_stride = 8;
  tile.output_i8 = y.data();
  tile.range = ptq::MakeOutputRange(0, -128, 127);
  static const int8_t* wrong_rows[64];  // all null
  const Break<ptq::GemmI8Kernel, Tile> breaks[] = {
      {"no rows", [](Tile* t) { t->valid_rows = 0; }},
      {"more rows than mr", [](Tile* t) { t->valid_rows = 65; }},
      {"no columns", [](Tile* t) { t->columns = 0; }},
      {"pixels overlap", [](Tile* t) { t->output_stride = 7; }},
      {"a null row", [](Tile* t) { t->rows = wrong_rows; }},
      {"a bias between two int32",
       [](Tile* t) {
         t->bias = reinterpret_cast<const int32_t*>(reinterpret_cast<uintptr_t>(t->bias) + 1);
       }},
      {"an empty range", [](Tile* t) { t->range = ptq::MakeOutputRange(0, 5, 4); }},
      {"a range beyond int8", [](Tile* t) { t->range = ptq::MakeOutputRange(0, -128, 128); }},
      {"sums that the kernel does not shift", [](Tile* t) { t->shifted_sums = true; }},
#if defined(PTQ_ADDRESS_SANITIZER)
      {"an output that ends early", [](Tile* t) { t->output_stride = 4096; }},
      {"rows without slack", [](Tile* t) { t->depth = 65; }},
#endif
  };
  TestBreaks(kernel, tile, breaks);
}

void TestDepthwise() {
  using Row = ptq::DepthwiseF32Row;
  const ptq::DepthwiseF32Kernel& kernel = Last(ptq::kDepthwiseF32Kernels);
  static ptq::Array<float> x, weights, bias, y;
  static const float* columns[9];
  CHECK_OK(x.Allocate(64));
  CHECK_OK(weights.Allocate(9 * 64));
  CHECK_OK(bias.Allocate(64));
  CHECK_OK(y.Allocate(64));
  for (const float*& column : columns) column = x.data();
  const Row row = {columns, {4, 3, 3, 1, 1}, 1, weights.data(), bias.data(), y.data(), 4, 0, 6};
  const Break<ptq::DepthwiseF32Kernel, Row> breaks[] = {
      {"no outputs", [](Row* r) { r->outputs = 0; }},
      {"pixels overlap", [](Row* r) { r->output_stride = 3; }},
      {"no weights", [](Row* r) { r->weights = nullptr; }},
      {"bounds in the wrong order", [](Row* r) { r->lo = 7; }},
      {"bounds that are no numbers", [](Row* r) { r->hi = __builtin_nanf(""); }},
  };
  TestBreaks(kernel, row, breaks);
}

void TestRows() {
  static int8_t x[64], y[64];
  static const int8_t* rows[2] = {x, x + 8};
  using Pixel = ptq::PoolI8Pixel;
  const Break<ptq::PoolI8Kernel, Pixel> pool[] = {
      {"no pixel", [](Pixel* p) { p->row_count = 0; }},
      {"no output", [](Pixel* p) { p->output = nullptr; }},
      {"bounds in the wrong order", [](Pixel* p) { p->q_max = p->q_min - 1; }},
  };
  TestBreaks(Last(ptq::kMaxPoolI8Kernels), Pixel{rows, 2, 8, 0, 0.5f, y, {}, -128, 127}, pool);

  using Row = ptq::BinaryI8Row;
  const ptq::OutputRange range = ptq::MakeOutputRange(0, -128, 127);
  const Break<ptq::BinaryI8Kernel, Row> binary[] = {
      {"a step of two", [](Row* r) { r->a_step = 2; }},
      {"no operand", [](Row* r) { r->b = nullptr; }},
      {"a multiplier that is no number", [](Row* r) { r->a_multiplier = __builtin_nanf(""); }},
  };
  TestBreaks(Last(ptq::kBinaryI8Kernels), Row{x, x, 1, 0, y, 8, 0, 0, 0.5f, 0.5f, range}, binary);

  using Block = ptq::TransposeBlock;
  const Break<ptq::TransposeKernel, Block> move[] = {
      {"rows overlap", [](Block* b) { b->x_stride = 1; }},
      {"columns overlap", [](Block* b) { b->y_stride = 1; }},
      {"in place", [](Block* b) { b->y = const_cast<void*>(b->x); }},
  };
  TestBreaks(ptq::kTransposeKernels[ptq::kTransposeKernels.count - 2], Block{x, 4, y, 2, 2, 4},
             move);
}

void TestOthers() {
  static float x[512], y[512];
  static int8_t q[64];
  Row("others");
  const auto& quantize = Last(ptq::kQuantizeKernels);
  const ptq::OutputRange range = ptq::MakeOutputRange(0, -128, 127);
  CHECK(!Aborts([&] { quantize.run(x, q, 8, 0.5f, range); }));
  CHECK(Aborts([&] { quantize.run(x, q, 8, 0.0f, range); }));
  const auto& softmax = Last(ptq::kSoftmaxKernels);
  CHECK(!Aborts([&] { softmax.run(x, y, 8, 1); }));
  CHECK(Aborts([&] { softmax.run(x, y, 0, 1); }));
  const auto& reduce = Last(ptq::kReduceF32Kernels);
  const size_t whole = ptq::kSumBlock, more = whole + 1;
  CHECK(!Aborts([&] { reduce.columns({ptq::Reduction::kSum, x, 4, whole, 4, y}); }));
  CHECK(Aborts([&] { reduce.columns({ptq::Reduction::kSum, x, 4, more, 4, y}); }));
  const auto& copy = Last(ptq::kCopyKernels);
  CHECK(!Aborts([&] { copy.strided({x, 4, 2, y, 4, 2, 1}); }));
  CHECK(Aborts([&] { copy.strided({x, 4, 2, y, 2, 2, 1}); }));
}

#else

template <typename Function>
void CheckIs(Function* listed, Function* kernel) {
  CHECK(listed == kernel);
}

void TestNothingIsBetween() {
  Row("the lists have the kernels themselves");
  CheckIs(Last(ptq::kGemmI8Kernels).run, ptq::gemm_i8_4x8__scalar);
  CheckIs(Last(ptq::kDepthwiseF32Kernels).run, ptq::depthwise_f32_1x16__scalar);
  CheckIs(Last(ptq::kMaxPoolI8Kernels).run, ptq::max_pool_i8_1x64__scalar);
  CheckIs(Last(ptq::kReduceF32Kernels).columns, ptq::reduce_f32_x8__scalar);
}

#endif

}  // namespace

int main() {
#if defined(PTQ_CHECK_CONTRACTS)
  TestGemm();
  TestDepthwise();
  TestRows();
  TestOthers();
#else
  TestNothingIsBetween();
#endif
  return Finish("contracts_test");
}
