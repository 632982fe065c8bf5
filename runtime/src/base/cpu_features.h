// Instruction sets that kernels are chosen by. Selection always takes the set as an argument, so
// that every path of a machine can be forced and tested; only ptq_program_load reads the
// environment (PTQ_CPU=scalar|neon|dotprod|...).
#ifndef PTQ_BASE_CPU_FEATURES_H_
#define PTQ_BASE_CPU_FEATURES_H_

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

namespace ptq {

// Those that no level of PTQ_CPU has (from kCpuPclmul on) are for single kernels: they are used
// where PTQ_CPU does not limit the set.
enum CpuFeature : uint32_t {
  kCpuScalar = 0,  // every CPU: requires nothing
  kCpuNeon = 1u << 0,
  kCpuDotprod = 1u << 1,
  kCpuI8mm = 1u << 2,
  kCpuAvx2 = 1u << 3,  // with FMA
  kCpuAvx512Vnni = 1u << 4,
  kCpuAvxVnni = 1u << 5,  // VNNI for registers of 256 bits
  kCpuAmxInt8 = 1u << 6,
  kCpuFp16 = 1u << 7,  // arithmetic in half precision (Armv8.2)
  kCpuPclmul = 1u << 16,
  kCpuCrc = 1u << 17,
  kCpuAvx512Vbmi = 1u << 18,
  kCpuF16c = 1u << 19,  // conversions of half precision
};

// A value of PTQ_CPU: the features it asks for, including those of the levels below it.
struct CpuLevel {
  const char* name;
  uint32_t features;
};

extern const CpuLevel kCpuLevels[];
extern const size_t kCpuLevelCount;

// What this CPU and its operating system can run.
uint32_t DetectCpuFeatures();

// `level` null or "": everything detected. Otherwise exactly that level; an unknown name or one
// that this CPU lacks fails.
ptq_status ResolveCpuFeatures(const char* level, uint32_t detected, uint32_t* features);

// "scalar neon dotprod": names of the levels covered by `features`, into `text`.
void FormatCpuFeatures(uint32_t features, char* text, size_t size);

}  // namespace ptq

#endif  // PTQ_BASE_CPU_FEATURES_H_
