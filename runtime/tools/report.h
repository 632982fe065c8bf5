// What benchmark_bin leaves behind: lines on the terminal, the result file, JSON, dumped outputs.
#ifndef PTQ_TOOLS_REPORT_H_
#define PTQ_TOOLS_REPORT_H_

#include "tools/measure.h"

namespace ptq {

// "<model name padded to 30>min = X  max = X  average = X" in milliseconds, to standard output
// (unless the JSON goes there) and appended to --result_filename.
ptq_status WriteResultLines(const BenchmarkFlags& flags, const Measurements& all);
ptq_status WriteJson(const BenchmarkFlags& flags, const Measurements& all);
ptq_status DumpOutputs(const BenchmarkFlags& flags, const Measurements& all);
void PrintProfile(const Measurements& all);  // to standard error

}  // namespace ptq

#endif  // PTQ_TOOLS_REPORT_H_
