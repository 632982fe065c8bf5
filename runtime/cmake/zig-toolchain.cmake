# Cross toolchain: the Clang, libc and linker of the Python package ziglang.
#   -DPTQ_ZIG_TARGET=aarch64-linux-musl   target triple, as zig writes it
#   -DPTQ_PYTHON=/path/to/python          the Python that has ziglang
#   -DPTQ_EMULATOR=qemu-aarch64-static    optional: how ctest runs the tests
set(CMAKE_SYSTEM_NAME Linux)

# try_compile configures small projects with this file again; they need the same variables.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES PTQ_ZIG_TARGET PTQ_PYTHON PTQ_EMULATOR)

if(NOT PTQ_ZIG_TARGET OR NOT PTQ_PYTHON)
  message(FATAL_ERROR "cmake/zig-toolchain.cmake needs -DPTQ_ZIG_TARGET=... and -DPTQ_PYTHON=...")
endif()

# The baseline of each target; instruction sets beyond it belong to cmake/isa.cmake.
if(PTQ_ZIG_TARGET MATCHES "^aarch64")
  set(CMAKE_SYSTEM_PROCESSOR aarch64)
  set(ptq_cpu generic)
elseif(PTQ_ZIG_TARGET MATCHES "^arm")
  set(CMAKE_SYSTEM_PROCESSOR armv7-a)
  set(ptq_cpu generic+v7a+neon)
elseif(PTQ_ZIG_TARGET MATCHES "^x86_64")
  set(CMAKE_SYSTEM_PROCESSOR x86_64)
  set(ptq_cpu x86_64)
else()
  message(FATAL_ERROR "PTQ_ZIG_TARGET=${PTQ_ZIG_TARGET}: not one of aarch64-*, arm-*, x86_64-*")
endif()

# CMake wants programs, zig is a module with subcommands: one wrapper per tool.
set(ptq_wrappers ${CMAKE_BINARY_DIR}/zig-wrappers)
foreach(tool c++ cc ar ranlib)
  set(wrapper ${ptq_wrappers}/zig-${tool})
  set(text "#!/bin/sh\nexec \"${PTQ_PYTHON}\" -m ziglang ${tool} \"$@\"\n")
  set(old "")
  if(EXISTS ${wrapper})
    file(READ ${wrapper} old)
  endif()
  if(NOT old STREQUAL text)  # an unchanged file keeps its time, and ninja its peace
    file(WRITE ${wrapper} ${text})
    file(CHMOD ${wrapper} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  endif()
endforeach()
set(CMAKE_CXX_COMPILER ${ptq_wrappers}/zig-c++)
set(CMAKE_C_COMPILER ${ptq_wrappers}/zig-cc)
set(CMAKE_AR ${ptq_wrappers}/zig-ar CACHE FILEPATH "")
set(CMAKE_RANLIB ${ptq_wrappers}/zig-ranlib CACHE FILEPATH "")
set(CMAKE_CXX_COMPILER_TARGET ${PTQ_ZIG_TARGET})
set(CMAKE_C_COMPILER_TARGET ${PTQ_ZIG_TARGET})
# Without optimization the checks would make zig build its sanitizer's runtime, and its other libraries once more.
set(CMAKE_CXX_FLAGS_INIT "-mcpu=${ptq_cpu} -O3")

# Checks link their small programs too; without this the first of them would make zig build libc++.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-nostdlib++")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-nostdlib++")

if(PTQ_EMULATOR)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${PTQ_EMULATOR})
endif()
