// A file whose header is repaired, if it loads, runs: inside its arena and its workspaces, on any
// input, on any instruction set of this CPU, in a time that follows from the work it states.
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cpu_features.h"
#include "program/context.h"
#include "ptq/ptq.h"
#include "test/fuzz/harness.h"
#include "test/support/random.h"

namespace {

// More than that is refused by the caller, not by the loader: what is tested here is that no file
// takes longer than its work says.
constexpr size_t kMostArena = size_t{16} << 20;
constexpr uint64_t kMostWork = uint64_t{1} << 24;

// Any bytes are valid values: NaN, infinities and denormals too.
void Fill(ptq_context* context, const ptq_program* program, ptq_test::Random* random) {
  ptq_tensor_info info;
  for (size_t i = 0; ptq_program_input_info(program, i, &info) == PTQ_OK; ++i) {
    uint8_t* bytes = static_cast<uint8_t*>(ptq_context_input(context, i));
    const bool floats = info.dtype == PTQ_FLOAT32 && random->Int(0, 3) != 0;
    for (size_t at = 0; at < info.size_bytes; at += sizeof(uint32_t)) {
      uint32_t value = static_cast<uint32_t>(random->Next());
      const float real = random->Float(-4, 4);
      if (floats) memcpy(&value, &real, sizeof value);
      const size_t left = info.size_bytes - at;
      memcpy(bytes + at, &value, left < sizeof value ? left : sizeof value);
    }
  }
}

// Kernels may read a little beyond the arena and the workspaces, but not write there: what lies
// there is zero from the beginning. The sanitizer sees what goes further.
void CheckSlack(const ptq::Pooled<uint8_t>& block) {
  for (size_t i = 0; i < ptq::kReadSlack; ++i) {
    if (block.data()[block.size() + i] != 0) ptq_fuzz::Broken("wrote behind its memory");
  }
}

void Run(const ptq_program* program, ptq_test::Random* random) {
  ptq_context* context = nullptr;
  if (ptq_context_create(program, random->Int(1, 2), &context) != PTQ_OK) return;
  Fill(context, program, random);
  const ptq_status status = ptq_run(context);
  if (status != PTQ_OK && status != PTQ_OUT_OF_RANGE) ptq_fuzz::Broken("a run failed");
  CheckSlack(context->memory);
  CheckSlack(context->workspace);
  ptq_context_destroy(context);
}

// Limits the instruction sets to a level of this CPU, or to none.
void ChooseCpu(ptq_test::Random* random) {
  const size_t level = static_cast<size_t>(random->Int(0, static_cast<int>(ptq::kCpuLevelCount)));
  if (level < ptq::kCpuLevelCount &&
      (ptq::kCpuLevels[level].features & ~ptq::DetectCpuFeatures()) == 0) {
    setenv("PTQ_CPU", ptq::kCpuLevels[level].name, 1);
  } else {
    unsetenv("PTQ_CPU");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  uint64_t seed = size;
  for (size_t i = 0; i < size; i += 61) seed = seed * 31 + data[i];
  ptq_test::Random random(seed);
  ChooseCpu(&random);
  ptq_fuzz::Bytes file(data, size, 0);
  file.Repair();
  ptq_program* program = nullptr;
  if (ptq_program_from_memory(file.data(), size, &program) == PTQ_OK &&
      ptq_program_arena_bytes(program) <= kMostArena && ptq_program_work(program) <= kMostWork)
    Run(program, &random);
  ptq_program_destroy(program);
  return 0;
}
