// How far a kernel is from what its instruction set can do at most.
#ifndef PTQ_TOOLS_LIMITS_H_
#define PTQ_TOOLS_LIMITS_H_

namespace ptq {

// Multiply-accumulates per cycle of one core whose pipes do nothing else, for a kernel by its name
// "<op>_<dtype>_<tile>__<isa>"; 0 where no limit is known.
double PeakMacsPerCycle(const char* kernel);

// Cycles per microsecond of the core that this runs on, measured now.
double CoreMegahertz();

}  // namespace ptq

#endif  // PTQ_TOOLS_LIMITS_H_
