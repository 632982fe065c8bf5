# Compiler and linker flags of every target, as the interface library ptq_flags.
include(CheckCXXCompilerFlag)
include(CheckLinkerFlag)

add_library(ptq_flags INTERFACE)
# -ffp-contract=off: docs/numerics.md allows one rounding per written operation. -Wno-psabi: vectors are passed between
# inlined functions of one file only.
target_compile_options(ptq_flags INTERFACE
  -Wall -Wextra -Wno-psabi -ffp-contract=off -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-math-errno
  -ffunction-sections -fdata-sections)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(ptq_flags INTERFACE -Werror)
endif()
target_link_options(ptq_flags INTERFACE -Wl,--gc-sections)

# The runtime uses C++ headers but nothing of the C++ library's linked part: smaller, and with zig the first build of a target
# does not have to build libc++ (most of a minute).
check_linker_flag(CXX -nostdlib++ PTQ_HAS_NOSTDLIBXX)
if(PTQ_HAS_NOSTDLIBXX AND NOT PTQ_SANITIZE)
  target_link_options(ptq_flags INTERFACE -nostdlib++)
endif()

if(PTQ_SANITIZE)
  target_compile_options(ptq_flags INTERFACE -fsanitize=${PTQ_SANITIZE} -fno-sanitize-recover=all -g -O1)
  target_link_options(ptq_flags INTERFACE -fsanitize=${PTQ_SANITIZE})
  target_compile_definitions(ptq_flags INTERFACE PTQ_CHECK_CONTRACTS)  # src/kernels/checked.h
else()
  target_link_options(ptq_flags INTERFACE $<$<CONFIG:Release>:-s>)
endif()

if(PTQ_FUZZ)
  target_compile_options(ptq_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(PTQ_COVERAGE)
  target_compile_options(ptq_flags INTERFACE -fprofile-instr-generate -fcoverage-mapping)
  target_link_options(ptq_flags INTERFACE -fprofile-instr-generate)
endif()

if(PTQ_STATIC_EXECUTABLES)
  add_link_options(-static)
endif()
