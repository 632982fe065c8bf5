// One loaded program, many contexts in many threads: all at once compute what one alone computes.
// Run under the thread sanitizer by `make sanitize`.
#include <pthread.h>

#include "test/support/compare.h"
#include "test/support/model_builder.h"
#include "test/support/random.h"
#include "test/support/runner.h"

namespace {

using namespace ptq_test;

constexpr size_t kThreads = 8, kInputs = 4, kRuns = 12, kOutput = 2 * 12 * 12 * 40;
constexpr ptq::ClampAttrs kNoClamp = {-INFINITY, INFINITY, -128, 127};

// Enough work in each operator that a context's own threads share it.
List<uint8_t> Model() {
  Random random(3);
  ModelBuilder m;
  const uint32_t q = m.Qparams(0.03f, 4), q_w = m.Qparams(0.01f), q_y = m.Qparams(0.4f, -3);
  const uint32_t x = m.Input("x", ptq::kF32, {2, 24, 24, 16});
  const uint32_t quantized = m.Arena("quantized", ptq::kI8, {2, 24, 24, 16}, q),
                 depthwise = m.Arena("depthwise", ptq::kI8, {2, 12, 12, 16}, q_y),
                 conv = m.Arena("conv", ptq::kI8, {2, 12, 12, 40}, q_y),
                 real = m.Arena("real", ptq::kF32, {2, 12, 12, 40}),
                 y = m.Arena("y", ptq::kF32, {2, 12, 12, 40});
  const uint32_t w_depthwise = m.Constant("wd", ptq::kI8, {16, 3, 3, 1},
                                          random.Int8s(144, -127, 127).data(), q_w),
                 w_conv = m.Constant("wc", ptq::kI8, {40, 1, 1, 16},
                                     random.Int8s(640, -127, 127).data(), q_w);
  m.Op(ptq::kQuantize, "quantize", {x}, quantized);
  m.Op(ptq::kConv2d, "depthwise", {quantized, w_depthwise}, depthwise,
       ptq::Conv2dAttrs{2, 2, 1, 1, 1, 1, 1, 1, 16, kNoClamp});
  m.Op(ptq::kConv2d, "conv", {depthwise, w_conv}, conv,
       ptq::Conv2dAttrs{1, 1, 1, 1, 0, 0, 0, 0, 1, kNoClamp});
  m.Op(ptq::kDequantize, "dequantize", {conv}, real);
  m.Op(ptq::kSoftmax, "softmax", {real}, y, ptq::SoftmaxAttrs{3});
  m.Output(y);
  return m.Finish();
}

struct Shared {
  const List<uint8_t>* file;
  const ptq_program* program;
  List<float> inputs[kInputs], expected[kInputs];
};

struct Job {
  const Shared* shared;
  size_t index;
  long failures;
};

bool RunInput(const Shared& shared, ptq_context* context, size_t input, List<float>* y) {
  const List<float>& x = shared.inputs[input];
  memcpy(ptq_context_input(context, 0), x.data(), x.size() * sizeof(float));
  if (ptq_run(context) != PTQ_OK) return false;
  memcpy(y->data(), ptq_context_output(context, 0), kOutput * sizeof(float));
  return true;
}

void* Work(void* argument) {
  Job* job = static_cast<Job*>(argument);
  const Shared& shared = *job->shared;
  List<float> y(kOutput);
  ptq_context* context = nullptr;
  if (ptq_context_create(shared.program, 1 + static_cast<int32_t>(job->index % 3), &context) !=
      PTQ_OK) {
    ++job->failures;
    return nullptr;
  }
  for (size_t run = 0; run < kRuns; ++run) {
    const size_t input = (run + job->index) % kInputs;
    if (!RunInput(shared, context, input, &y) ||
        memcmp(y.data(), shared.expected[input].data(), kOutput * sizeof(float)) != 0)
      ++job->failures;
    // Errors, infos and loading of the same bytes are no one else's business.
    ptq_tensor_info info;
    if (ptq_program_output_info(shared.program, job->index + 1, &info) != PTQ_INVALID_ARGUMENT)
      ++job->failures;
    char expected[32];
    snprintf(expected, sizeof expected, "index: %zu,", job->index + 1);
    if (strncmp(ptq_last_error(), expected, strlen(expected)) != 0) ++job->failures;
    ptq_program* own = nullptr;
    if (ptq_program_from_memory(shared.file->data(), shared.file->size(), &own) != PTQ_OK ||
        ptq_program_op_count(own) != ptq_program_op_count(shared.program))
      ++job->failures;
    ptq_program_destroy(own);
  }
  ptq_context_destroy(context);
  return nullptr;
}

void TestContextsInThreads() {
  Row("contexts in threads");
  const List<uint8_t> file = Model();
  ptq_program* program = nullptr;
  if (!CHECK_OK(ptq_program_from_memory(file.data(), file.size(), &program))) return;
  Random random(4);
  Shared shared = {&file, program, {}, {}};
  ptq_context* alone = nullptr;
  CHECK_OK(ptq_context_create(program, 1, &alone));
  for (size_t i = 0; i < kInputs; ++i) {
    shared.inputs[i] = random.Floats(2 * 24 * 24 * 16);
    shared.expected[i].Resize(kOutput);
    CHECK(RunInput(shared, alone, i, &shared.expected[i]));
  }
  CHECK(memcmp(shared.expected[0].data(), shared.expected[1].data(), kOutput * sizeof(float)) != 0);
  ptq_context_destroy(alone);
  pthread_t threads[kThreads];
  Job jobs[kThreads];
  for (size_t i = 0; i < kThreads; ++i) {
    jobs[i] = {&shared, i, 0};
    CHECK(pthread_create(&threads[i], nullptr, Work, &jobs[i]) == 0);
  }
  for (size_t i = 0; i < kThreads; ++i) {
    pthread_join(threads[i], nullptr);
    Row("thread %d", static_cast<int>(i));
    CHECK(jobs[i].failures == 0);
  }
  ptq_program_destroy(program);
}

}  // namespace

int main() {
  TestContextsInThreads();
  return Finish("threads_test");
}
