// Limits per instruction set as a table.
#include "tools/limits.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

namespace ptq {
namespace {

struct Limit {
  const char *dtype, *isa;  // as in a kernel's name
  double macs_per_cycle;
};

// Two vector pipes per core, as in the cores that people have: Cortex-A76 to X1 and Neoverse N1
// (128 bits each), Zen 4 and Intel server cores (512 bits each). Smaller cores have half of it.
constexpr Limit kLimits[] = {
    {"_i8_", "__neon", 8},      // smull, smlal2, sadalp for 16 products
    {"_i8_", "__dotprod", 32},  // 16 products an instruction
    {"_i8_", "__i8mm", 64},     // 32 products an instruction
    {"_i8_", "__avx2", 32},     // 16 products an instruction, int16
    {"_i8_", "__avxvnni", 64},  // 32 products an instruction
    {"_i8_", "__avx512vnni", 128},
    {"_i8_", "__amx", 1024},  // one tile of 16 x 16 x 64 in 16
                              // cycles
    {"_f32_", "__neon", 8},
    {"_f32_", "__avx2", 16},
    {"_f32_", "__avx512vnni", 32},
};

double NowMicroseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

}  // namespace

double PeakMacsPerCycle(const char* kernel) {
  for (const Limit& limit : kLimits) {
    const char* isa = strstr(kernel, "__");
    if (isa != nullptr && strstr(kernel, limit.dtype) != nullptr && strcmp(isa, limit.isa) == 0)
      return limit.macs_per_cycle;
  }
  return 0;
}

double CoreMegahertz() {
  // A chain of multiplications, each waiting 3 cycles for the last one, on every core of the table.
  constexpr int kRounds = 5, kSteps = 200000, kLatency = 3;
  double fastest = 1e30;
  uintptr_t value = 3;  // a register
  for (int round = 0; round < kRounds; ++round) {
    const double begin = NowMicroseconds();
    for (int i = 0; i < kSteps; ++i) {
      value *= 0x9E3779B9u;
      __asm__ volatile("" : "+r"(value));
    }
    const double took = NowMicroseconds() - begin;
    if (took < fastest) fastest = took;
  }
  return kSteps * kLatency / fastest;
}

}  // namespace ptq
