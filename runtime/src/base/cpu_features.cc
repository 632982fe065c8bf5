// CPU detection by <cpuid.h> and getauxval: __builtin_cpu_supports() needs a runtime library that
// zig does not link.
#include "base/cpu_features.h"

#include <stdio.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__linux__)
#include <sys/auxv.h>
#endif

namespace ptq {

const CpuLevel kCpuLevels[] = {
    {"scalar", kCpuScalar},
    {"neon", kCpuNeon},
    {"fp16", kCpuNeon | kCpuFp16},
    {"dotprod", kCpuNeon | kCpuDotprod},
    {"i8mm", kCpuNeon | kCpuDotprod | kCpuI8mm},
    {"avx2", kCpuAvx2},
    {"avxvnni", kCpuAvx2 | kCpuAvxVnni},
    {"avx512vnni", kCpuAvx2 | kCpuAvx512Vnni},
    {"amx", kCpuAvx2 | kCpuAvx512Vnni | kCpuAmxInt8},
};
const size_t kCpuLevelCount = sizeof kCpuLevels / sizeof kCpuLevels[0];

#if defined(__x86_64__) || defined(__i386__)

namespace {

// Which register states the operating system saves; XGETBV faults where OSXSAVE is off.
uint32_t ReadXcr0() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

// Whether this process may use the tile registers: Linux gives their 8 KB of state only to those
// who ask.
bool RequestTileRegisters() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

uint32_t DetectCpuFeatures() {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return kCpuScalar;
  uint32_t features = kCpuScalar;
  if ((c & (1u << 1)) && (c & (1u << 19))) features |= kCpuPclmul;  // with SSE4.1
  const bool osxsave = c & (1u << 27), fma = c & (1u << 12), f16c = c & (1u << 29);
  if (!osxsave || !fma) return features;
  const uint32_t xcr0 = ReadXcr0();
  if ((xcr0 & 0x06) != 0x06 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return features;
  if (b & (1u << 5)) features |= kCpuAvx2;
  if (f16c) features |= kCpuF16c;
  const uint32_t avx512 = (1u << 8) | (1u << 16) | (1u << 30) | (1u << 31);  // BMI2, F, BW, VL
  const bool vnni = c & (1u << 11);
  if ((features & kCpuAvx2) && (b & avx512) == avx512 && vnni && (xcr0 & 0xE6) == 0xE6) {
    features |= kCpuAvx512Vnni;
    if (c & (1u << 1)) features |= kCpuAvx512Vbmi;
  }
  const uint32_t amx = (1u << 24) | (1u << 25);         // AMX-TILE, AMX-INT8
  const uint32_t tile_state = (1u << 17) | (1u << 18);  // XTILECFG, XTILEDATA
  if ((features & kCpuAvx512Vnni) && (d & amx) == amx && (xcr0 & tile_state) == tile_state &&
      RequestTileRegisters()) {
    features |= kCpuAmxInt8;
  }
  if ((features & kCpuAvx2) && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 4))) {
    features |= kCpuAvxVnni;
  }
  return features;
}

#elif defined(__aarch64__) && defined(__linux__)

uint32_t DetectCpuFeatures() {
  uint32_t features = kCpuNeon;  // part of the base architecture
  const unsigned long capabilities = getauxval(AT_HWCAP);
  if (capabilities & (1ul << 7)) features |= kCpuCrc;                               // HWCAP_CRC32
  if (capabilities & (1ul << 10)) features |= kCpuFp16;                             // HWCAP_ASIMDHP
  if (capabilities & (1ul << 20)) features |= kCpuDotprod;                          // HWCAP_ASIMDDP
  if ((features & kCpuDotprod) && (getauxval(26 /* AT_HWCAP2 */) & (1ul << 13))) {  // HWCAP2_I8MM
    features |= kCpuI8mm;
  }
  return features;
}

#elif defined(__arm__) && defined(__linux__)

uint32_t DetectCpuFeatures() {
  return (getauxval(AT_HWCAP) & (1ul << 12)) ? kCpuNeon : kCpuScalar;  // HWCAP_NEON
}

#else

uint32_t DetectCpuFeatures() { return kCpuScalar; }

#endif

ptq_status ResolveCpuFeatures(const char* level, uint32_t detected, uint32_t* features) {
  if (level == nullptr || level[0] == '\0') {
    *features = detected;
    return PTQ_OK;
  }
  char available[96];
  FormatCpuFeatures(detected, available, sizeof available);
  for (size_t i = 0; i < kCpuLevelCount; ++i) {
    if (strcmp(level, kCpuLevels[i].name) != 0) continue;
    if ((kCpuLevels[i].features & ~detected) != 0) {
      return Fail(PTQ_UNSUPPORTED, "PTQ_CPU=%s: this CPU cannot run it; it can run: %s", level,
                  available);
    }
    *features = kCpuLevels[i].features;
    return PTQ_OK;
  }
  return Fail(PTQ_INVALID_ARGUMENT,
              "PTQ_CPU=%.40s: not a known instruction set; this CPU can run: %s", level, available);
}

void FormatCpuFeatures(uint32_t features, char* text, size_t size) {
  size_t used = 0;
  for (size_t i = 0; i < kCpuLevelCount && used < size; ++i) {
    if ((kCpuLevels[i].features & ~features) != 0) continue;
    used += snprintf(text + used, size - used, "%s%s", used == 0 ? "" : " ", kCpuLevels[i].name);
  }
}

}  // namespace ptq
