// Command line of benchmark_bin.
#ifndef PTQ_TOOLS_FLAGS_H_
#define PTQ_TOOLS_FLAGS_H_

#include <stdint.h>

#include "base/array.h"

namespace ptq {

struct BenchmarkFlags {
  Array<const char*> models;  // the first model_count are set
  size_t model_count = 0;
  int64_t warmup = 10;
  int64_t repeats = 30;
  int64_t threads = 1;
  int64_t seed = 1;
  double until_ci = 0;  // percent; 0: no stop rule, exactly `repeats` samples
  double max_seconds = 60;
  const char* result_filename = "res.txt";  // "": none
  const char* json = "";                    // "-": standard output
  const char* input = "";                   // files separated by commas
  const char* dump_output = "";
  const char* cpu_affinity = "";  // CPU numbers separated by commas
  bool profile = false;
  bool count_markers = false;
  bool help = false;
  bool version = false;
};

// Fails with PTQ_INVALID_ARGUMENT and a message that names the flag, the value and the rule.
ptq_status ParseFlags(int argc, char** argv, BenchmarkFlags* flags);

void PrintUsage();

}  // namespace ptq

#endif  // PTQ_TOOLS_FLAGS_H_
