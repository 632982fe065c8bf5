// Loading and timing models for benchmark_bin.
#include "tools/measure.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/math.h"
#include "format/crc32.h"
#include "format/mapped_file.h"
#include "numerics/half.h"
#include "tools/stop_rule.h"

namespace ptq {
namespace {

double NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): the same numbers on every CPU.
uint64_t NextRandom(uint64_t* state) {
  uint64_t z = (*state += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// What random integers lie in. A model may take them for rows of a table, or divide by them: each
// attempt has half as many numbers as the one before the last, every second leaves out 0.
struct IntegerRange {
  static constexpr uint32_t kAttempts = 18;
  uint32_t attempt;

  uint64_t Next(uint64_t* state) const {
    return Max<uint64_t>((NextRandom(state) >> 56) >> attempt / 2, attempt % 2);
  }
};

template <typename T>
void FillIntegers(const IntegerRange& range, size_t bytes, uint64_t state, void* data) {
  T* values = static_cast<T*>(data);
  for (size_t i = 0; i < bytes / sizeof(T); ++i) values[i] = static_cast<T>(range.Next(&state));
}

// Depends on range, seed, input index and element only: models with the same shapes get the same
// inputs.
void FillRandom(const ptq_tensor_info& info, const IntegerRange& range, uint64_t seed, void* data) {
  uint64_t state = seed;
  if (info.dtype == PTQ_INT8) {
    FillIntegers<int8_t>({0}, info.size_bytes, state, data);
  } else if (info.dtype == PTQ_INT32) {
    FillIntegers<int32_t>(range, info.size_bytes, state, data);
  } else if (info.dtype == PTQ_INT64) {
    FillIntegers<int64_t>(range, info.size_bytes, state, data);
  } else if (info.dtype == PTQ_UINT8) {
    FillIntegers<uint8_t>(range, info.size_bytes, state, data);
  } else if (info.dtype == PTQ_BOOL) {
    uint8_t* values = static_cast<uint8_t*>(data);
    for (size_t i = 0; i < info.size_bytes; ++i)
      values[i] = static_cast<uint8_t>(NextRandom(&state) >> 63);
  } else {  // uniform in [-1, 1)
    const auto next = [&] {
      return static_cast<float>(NextRandom(&state) >> 40) * (1.0f / 8388608.0f) - 1.0f;
    };
    if (info.dtype == PTQ_FLOAT16) {
      Half* values = static_cast<Half*>(data);
      for (size_t i = 0; i < info.size_bytes / 2; ++i) values[i] = ToHalf(next());
    } else {
      float* values = static_cast<float*>(data);
      for (size_t i = 0; i < info.size_bytes / 4; ++i) values[i] = next();
    }
  }
}

ptq_status ReadInput(const char* path, size_t index, const ptq_tensor_info& info, void* data) {
  MappedFile file;
  PTQ_RETURN_IF_ERROR(file.Open(path));
  if (file.size() != info.size_bytes) {
    return Fail(PTQ_INVALID_ARGUMENT, "--input: %.120s has %zu bytes, input %zu '%.60s' takes %zu",
                path, file.size(), index, info.name, info.size_bytes);
  }
  memcpy(data, file.data(), file.size());
  return PTQ_OK;
}

ptq_status FillInputs(const BenchmarkFlags& flags, const IntegerRange& range,
                      const Measurement& model) {
  const char* files = flags.input;
  const size_t count = ptq_program_input_count(model.program);
  for (size_t i = 0; i < count; ++i) {
    ptq_tensor_info info;
    PTQ_RETURN_IF_ERROR(ptq_program_input_info(model.program, i, &info));
    void* data = ptq_context_input(model.context, i);
    if (flags.input[0] == '\0') {
      FillRandom(info, range, static_cast<uint64_t>(flags.seed) * 1000003u + i, data);
      continue;
    }
    char path[1024];
    const size_t length = strcspn(files, ",");
    if (length == 0 || length >= sizeof path) {
      return Fail(PTQ_INVALID_ARGUMENT, "--input: the model has %zu inputs, file %zu is missing",
                  count, i + 1);
    }
    memcpy(path, files, length);
    path[length] = '\0';
    files += length + (files[length] == ',' ? 1 : 0);
    PTQ_RETURN_IF_ERROR(ReadInput(path, i, info, data));
  }
  if (flags.input[0] != '\0' && *files != '\0') {
    return Fail(PTQ_INVALID_ARGUMENT, "--input: more files than the model's %zu inputs", count);
  }
  return PTQ_OK;
}

ptq_status PinThreads(const BenchmarkFlags& flags, const Measurement& model) {
  int32_t cpus[64];
  size_t count = 0;
  for (const char* p = flags.cpu_affinity; *p != '\0';) {
    char* end = nullptr;
    const long cpu = strtol(p, &end, 10);
    if (end == p || (*end != ',' && *end != '\0') || cpu < 0 || cpu > 1023 || count == 64) {
      return Fail(PTQ_INVALID_ARGUMENT,
                  "--cpu_affinity: '%.60s' is not a list of up to 64 CPU numbers",
                  flags.cpu_affinity);
    }
    cpus[count++] = static_cast<int32_t>(cpu);
    p = *end == ',' ? end + 1 : end;
  }
  return count == 0 ? PTQ_OK : ptq_context_pin_threads(model.context, cpus, count);
}

ptq_status TimedRun(const Measurement& model, double* ms) {
  const double begin = NowMs();
  const ptq_status status = ptq_run(model.context);
  *ms = NowMs() - begin;
  return status;
}

// The first run of `model`, on the first random inputs that fit it.
ptq_status FirstRun(const BenchmarkFlags& flags, Measurement* model) {
  for (IntegerRange range = {0};; ++range.attempt) {
    PTQ_RETURN_IF_ERROR(FillInputs(flags, range, *model));
    const ptq_status status = TimedRun(*model, &model->first_ms);
    const bool last = range.attempt + 1 == IntegerRange::kAttempts || flags.input[0] != '\0';
    if (status != PTQ_OUT_OF_RANGE || last) return status;
  }
}

ptq_status Load(const BenchmarkFlags& flags, Measurement* model) {
  struct stat info;
  if (stat(model->path, &info) != 0)
    return Fail(PTQ_IO_ERROR, "cannot open it: %s", strerror(errno));
  model->file_bytes = static_cast<uint64_t>(info.st_size);
  const double begin = NowMs();
  PTQ_RETURN_IF_ERROR(ptq_program_load(model->path, &model->program));
  model->load_ms = NowMs() - begin;
  PTQ_RETURN_IF_ERROR(
      ptq_context_create(model->program, static_cast<int32_t>(flags.threads), &model->context));
  PTQ_RETURN_IF_ERROR(PinThreads(flags, *model));
  PTQ_RETURN_IF_ERROR(FirstRun(flags, model));
  double ignored;
  for (int64_t i = 0; i < flags.warmup; ++i) PTQ_RETURN_IF_ERROR(TimedRun(*model, &ignored));
  return PTQ_OK;
}

// A program that counts this one's instructions (benchmarks/qemu/insn_count.c) sees the two system
// calls, which do nothing: no such file is open.
ptq_status RunBetweenMarkers(const BenchmarkFlags& flags, const Measurements& all) {
  constexpr int kBegin = -4242, kEnd = -4243;
  close(kBegin);
  for (int64_t repeat = 0; repeat < flags.repeats; ++repeat) {
    for (const Measurement& model : all.models) PTQ_RETURN_IF_ERROR(ptq_run(model.context));
  }
  close(kEnd);
  return PTQ_OK;
}

// Extra runs, so that the observer does not disturb the samples.
ptq_status Profile(const BenchmarkFlags& flags, const Measurement& model) {
  const auto observe = [](void* user, uint32_t op, const ptq_tensor_info*, const void*,
                          double microseconds) { static_cast<double*>(user)[op] += microseconds; };
  ptq_context_set_observer(model.context, observe, model.op_us);
  for (int64_t i = 0; i < flags.repeats; ++i) PTQ_RETURN_IF_ERROR(ptq_run(model.context));
  ptq_context_set_observer(model.context, nullptr, nullptr);
  for (size_t op = 0; op < ptq_program_op_count(model.program); ++op) {
    model.op_us[op] /= static_cast<double>(flags.repeats);
  }
  return PTQ_OK;
}

uint32_t OutputCrc32(const Measurement& model) {
  uint32_t crc = 0;
  for (size_t i = 0; i < ptq_program_output_count(model.program); ++i) {
    ptq_tensor_info info;
    if (ptq_program_output_info(model.program, i, &info) != PTQ_OK) continue;
    crc = Crc32(crc, ptq_context_output(model.context, i), info.size_bytes);
  }
  return crc;
}

// How many samples there may be; memory is only used by those that are taken.
size_t SampleRoom(const BenchmarkFlags& flags) {
  constexpr int64_t kMostSamples = 100000;  // a megabyte of JSON per model
  return static_cast<size_t>(flags.until_ci > 0 ? Max(kMostSamples, flags.repeats) : flags.repeats);
}

ptq_status AllocateResults(const BenchmarkFlags& flags, Measurements* all) {
  const size_t room = SampleRoom(flags);
  PTQ_RETURN_IF_ERROR(all->samples_ms.Allocate(flags.model_count * room));
  size_t ops = 0;
  for (size_t i = 0; i < flags.model_count; ++i) {
    all->models[i].samples_ms = all->samples_ms.data() + i * room;
    ops += ptq_program_op_count(all->models[i].program);
  }
  if (!flags.profile) return PTQ_OK;
  PTQ_RETURN_IF_ERROR(all->op_us.Allocate(ops));
  ops = 0;
  for (Measurement& model : all->models) {
    model.op_us = all->op_us.data() + ops;
    ops += ptq_program_op_count(model.program);
  }
  return PTQ_OK;
}

// Whether the median of every model is known well enough.
bool MediansKnown(const BenchmarkFlags& flags, const Measurements& all, double* sorted) {
  for (const Measurement& model : all.models) {
    const double error = MedianErrorPercent(model.samples_ms, all.sample_count, sorted);
    if (!(error <= flags.until_ci)) return false;
  }
  return true;
}

// Samples of all models in turns, until `stopped` has a reason.
ptq_status TakeSamples(const BenchmarkFlags& flags, Measurements* all) {
  const bool by_rule = flags.until_ci > 0;
  const size_t room = SampleRoom(flags);
  Array<double> sorted;
  if (by_rule) PTQ_RETURN_IF_ERROR(sorted.Allocate(room));
  const double deadline = NowMs() + flags.max_seconds * 1e3;
  size_t next_look = static_cast<size_t>(flags.repeats);
  while (all->stopped == nullptr) {
    for (Measurement& model : all->models)
      PTQ_RETURN_IF_ERROR(TimedRun(model, &model.samples_ms[all->sample_count]));
    const size_t n = ++all->sample_count;
    if (by_rule && n >= next_look) {
      // Each look is one more chance to stop by luck: they become rarer as the series grows.
      next_look = n + n / 8 + 1;
      if (MediansKnown(flags, *all, sorted.data())) all->stopped = "confidence";
    }
    if (all->stopped != nullptr) break;
    if (n == room) all->stopped = by_rule ? "max_samples" : "repeats";
    if (by_rule && NowMs() >= deadline) all->stopped = "max_seconds";
  }
  return PTQ_OK;
}

}  // namespace

Measurements::~Measurements() {
  for (Measurement& model : models) {
    ptq_context_destroy(model.context);
    ptq_program_destroy(model.program);
  }
}

ptq_status MeasureAll(const BenchmarkFlags& flags, Measurements* all) {
  PTQ_RETURN_IF_ERROR(all->models.Allocate(flags.model_count));
  for (size_t i = 0; i < flags.model_count; ++i) {
    all->models[i].path = flags.models[i];
    const ptq_status status = Load(flags, &all->models[i]);
    if (status != PTQ_OK) {
      PrefixLastError("%.140s: ", flags.models[i]);
      return status;
    }
  }
  if (flags.count_markers) return RunBetweenMarkers(flags, *all);
  PTQ_RETURN_IF_ERROR(AllocateResults(flags, all));
  PTQ_RETURN_IF_ERROR(TakeSamples(flags, all));
  for (Measurement& model : all->models) {
    if (flags.profile) PTQ_RETURN_IF_ERROR(Profile(flags, model));
    model.output_crc32 = OutputCrc32(model);
  }
  return PTQ_OK;
}

}  // namespace ptq
