// When a series of samples is long enough.
#ifndef PTQ_TOOLS_STOP_RULE_H_
#define PTQ_TOOLS_STOP_RULE_H_

#include <stddef.h>

namespace ptq {

// Half the 95 % confidence interval of the samples' median, in percent of it; infinite where the
// samples are too few to have one. Sorts them into `sorted`, which has room for `count`.
//
// The interval lies between two order statistics, so that nothing is assumed of the samples'
// distribution: Le Boudec, "Performance Evaluation of Computer and Communication Systems", EPFL
// Press, 2010, section 2.2.2; recommended for latencies by Hoefler and Belli, "Scientific
// Benchmarking of Parallel Computing Systems", SC15, rule 5.
double MedianErrorPercent(const double* samples, size_t count, double* sorted);

}  // namespace ptq

#endif  // PTQ_TOOLS_STOP_RULE_H_
