// The instruction sets of kernels: `PTQ_ISA_<set>(text)` is the text in builds that have the set,
// and nothing in others; `isa::<set>` says what it requires of the CPU. Compiler flags are in
// cmake/isa.cmake.
#ifndef PTQ_KERNELS_INSTRUCTION_SETS_H_
#define PTQ_KERNELS_INSTRUCTION_SETS_H_

#include "base/cpu_features.h"

#if defined(__x86_64__)
#define PTQ_IF_X86(...) __VA_ARGS__
#else
#define PTQ_IF_X86(...)
#endif
#if defined(__aarch64__)
#define PTQ_IF_A64(...) __VA_ARGS__
#else
#define PTQ_IF_A64(...)
#endif
#if defined(__arm__)
#define PTQ_IF_A32(...) __VA_ARGS__
#else
#define PTQ_IF_A32(...)
#endif

#define PTQ_ISA_scalar(...) __VA_ARGS__
#define PTQ_ISA_neon(...) PTQ_IF_A64(__VA_ARGS__) PTQ_IF_A32(__VA_ARGS__)
#define PTQ_ISA_neon_a64 PTQ_IF_A64
#define PTQ_ISA_neon_a32 PTQ_IF_A32
#define PTQ_ISA_armv7 PTQ_IF_A32
#define PTQ_ISA_neon_fp16 PTQ_IF_A64
#define PTQ_ISA_dotprod PTQ_IF_A64
#define PTQ_ISA_i8mm PTQ_IF_A64
#define PTQ_ISA_crc PTQ_IF_A64
#define PTQ_ISA_avx2 PTQ_IF_X86
#define PTQ_ISA_avxvnni PTQ_IF_X86
#define PTQ_ISA_avx512vnni PTQ_IF_X86
#define PTQ_ISA_avx512vbmi PTQ_IF_X86
#define PTQ_ISA_amx PTQ_IF_X86
#define PTQ_ISA_f16c PTQ_IF_X86
#define PTQ_ISA_pclmul PTQ_IF_X86

namespace ptq {

struct InstructionSet {
  const char* file;  // the kernels' file, and the end of their names
  uint32_t features;
};

namespace isa {

constexpr InstructionSet scalar = {"scalar", kCpuScalar};
constexpr InstructionSet neon = {"neon", kCpuNeon};
constexpr InstructionSet neon_a64 = neon, neon_a32 = neon;  // in one of the two builds only
constexpr InstructionSet armv7 = {"armv7", kCpuNeon};
constexpr InstructionSet neon_fp16 = {"neon_fp16", kCpuNeon | kCpuFp16};
constexpr InstructionSet dotprod = {"dotprod", kCpuNeon | kCpuDotprod};
constexpr InstructionSet i8mm = {"i8mm", kCpuNeon | kCpuI8mm};
constexpr InstructionSet crc = {"crc", kCpuCrc};
constexpr InstructionSet avx2 = {"avx2", kCpuAvx2};
constexpr InstructionSet avxvnni = {"avxvnni", kCpuAvx2 | kCpuAvxVnni};
constexpr InstructionSet avx512vnni = {"avx512vnni", kCpuAvx2 | kCpuAvx512Vnni};
constexpr InstructionSet avx512vbmi = {"avx512vbmi", avx512vnni.features | kCpuAvx512Vbmi};
constexpr InstructionSet amx = {"amx", avx512vnni.features | kCpuAmxInt8};
constexpr InstructionSet f16c = {"f16c", kCpuF16c};
constexpr InstructionSet pclmul = {"pclmul", kCpuPclmul};

}  // namespace isa
}  // namespace ptq

#endif  // PTQ_KERNELS_INSTRUCTION_SETS_H_
