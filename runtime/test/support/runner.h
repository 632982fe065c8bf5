// Loads a built file and runs it on every CPU level that this machine has and with several thread
// counts.
#ifndef PTQ_TEST_SUPPORT_RUNNER_H_
#define PTQ_TEST_SUPPORT_RUNNER_H_

#include <stdlib.h>

#include "base/cpu_features.h"
#include "ptq/ptq.h"
#include "test/support/check.h"
#include "test/support/list.h"

namespace ptq_test {

struct InputData {
  const void* data;
  size_t size;
};

// Runs once and calls inspect(context). Checks that loading and running succeed.
template <typename Inspect>
void RunOnce(const List<uint8_t>& file, const List<InputData>& inputs, int threads,
             Inspect inspect) {
  ptq_program* program = nullptr;
  if (!CHECK_OK(ptq_program_from_memory(file.data(), file.size(), &program))) return;
  ptq_context* context = nullptr;
  if (CHECK_OK(ptq_context_create(program, threads, &context))) {
    for (size_t i = 0; i < inputs.size(); ++i)
      memcpy(ptq_context_input(context, i), inputs[i].data, inputs[i].size);
    CHECK_OK(ptq_run(context));
    inspect(static_cast<const ptq_context*>(context));
    // A second run must give the same: inputs keep their values, nothing depends on what the arena
    // held before.
    CHECK_OK(ptq_run(context));
    inspect(static_cast<const ptq_context*>(context));
  }
  ptq_context_destroy(context);
  ptq_program_destroy(program);
}

// All CPU levels of this machine with 1, 2 and 4 threads, and none forced.
template <typename Inspect>
void RunEverywhere(const List<uint8_t>& file, const List<InputData>& inputs, Inspect inspect) {
  const uint32_t detected = ptq::DetectCpuFeatures();
  for (size_t i = 0; i < ptq::kCpuLevelCount; ++i) {
    if ((ptq::kCpuLevels[i].features & ~detected) != 0) continue;
    setenv("PTQ_CPU", ptq::kCpuLevels[i].name, 1);
    for (int threads : {1, 2, 4}) RunOnce(file, inputs, threads, inspect);
  }
  // What a user gets: also what belongs to no level.
  unsetenv("PTQ_CPU");
  for (int threads : {1, 2}) RunOnce(file, inputs, threads, inspect);
}

template <typename T>
InputData Bytes(const List<T>& values) {
  return {values.data(), values.size() * sizeof(T)};
}

}  // namespace ptq_test

#endif  // PTQ_TEST_SUPPORT_RUNNER_H_
