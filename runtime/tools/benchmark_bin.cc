// benchmark_bin: latency of flat files on this CPU.
// Exit codes: 0 done; 2 a wrong flag or model file; 3 out of memory, or results cannot be written.
#include <stdio.h>

#include "tools/flags.h"
#include "tools/measure.h"
#include "tools/report.h"

namespace {

constexpr int kInputWrong = 2, kEnvironmentFailed = 3;

int Complain(int exit_code) {
  fprintf(stderr, "benchmark_bin: %s\n", ptq_last_error());
  return exit_code;
}

const char* NextStep(ptq_status status) {
  switch (status) {
    case PTQ_BAD_FILE:
      return "write the file again with `ptq opt`";
    case PTQ_UNSUPPORTED:
      return "use a runtime and a CPU that support it";
    case PTQ_OUT_OF_MEMORY:
      return "free memory, or use a smaller model or fewer threads";
    case PTQ_OUT_OF_RANGE:
      return "random inputs do not fit the model: give real ones with --input";
    default:
      return "benchmark_bin --help explains the flags";
  }
}

}  // namespace

int main(int argc, char** argv) {
  ptq::BenchmarkFlags flags;
  if (ptq::ParseFlags(argc, argv, &flags) != PTQ_OK) return Complain(kInputWrong);
  if (flags.help) {
    ptq::PrintUsage();
    return 0;
  }
  if (flags.version) {
    printf("benchmark_bin %s\n", ptq_version());
    return 0;
  }
  ptq::Measurements all;
  const ptq_status status = ptq::MeasureAll(flags, &all);
  if (status != PTQ_OK) {
    fprintf(stderr, "benchmark_bin: %s; %s\n", ptq_last_error(), NextStep(status));
    return status == PTQ_OUT_OF_MEMORY ? kEnvironmentFailed : kInputWrong;
  }
  if (flags.count_markers) return 0;
  if (ptq::WriteResultLines(flags, all) != PTQ_OK || ptq::WriteJson(flags, all) != PTQ_OK ||
      ptq::DumpOutputs(flags, all) != PTQ_OK) {
    return Complain(kEnvironmentFailed);
  }
  ptq::PrintProfile(all);
  return 0;
}
