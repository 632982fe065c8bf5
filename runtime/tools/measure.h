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
  double* samples_ms;  // [repeats]
  double* op_us;       // [op_count], mean; null without --profile
  uint32_t output_crc32;
};

// Owns what the measurements point at.
struct Measurements {
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
