// Loading and timing models for benchmark_bin.
#ifndef PTQ_TOOLS_MEASURE_H_
#define PTQ_TOOLS_MEASURE_H_

#include "base/array.h"
#include "tools/flags.h"

namespace ptq {

// One model: the loaded program and what was measured of it. Times in milliseconds unless named
// otherwise.
struct Measurement {
  const char* path;
  ptq_program* program;
  ptq_context* context;
  uint64_t file_bytes;
  double load_ms;
  double first_ms;
  double* samples_ms;  // [Measurements::sample_count]
  double* op_us;       // [op_count], mean; null without --profile
  uint32_t output_crc32;
};

// Owns what the measurements point at.
struct Measurements {
  size_t sample_count = 0;        // of each model
  const char* stopped = nullptr;  // by repeats, confidence, max_seconds or max_samples
  Array<Measurement> models;
  Array<double> samples_ms, op_us;
  Measurements() = default;
  ~Measurements();
};

// Loads every model, warms each up, then measures them in turns. On failure the message names the
// model.
ptq_status MeasureAll(const BenchmarkFlags& flags, Measurements* measurements);

}  // namespace ptq

#endif  // PTQ_TOOLS_MEASURE_H_
