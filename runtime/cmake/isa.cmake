# Instruction sets per source file: the one place that writes -march, -mcpu or -m flags beyond the toolchain's baseline.
#
# A kernel file for an instruction set is named after it, and is compiled only where its row matches the target CPU:
#   set_source_files_properties(src/kernels/gemm/dotprod.cc PROPERTIES COMPILE_OPTIONS "-mcpu=generic+dotprod")
# Such a file must not instantiate std:: templates: the linker may keep that copy for every caller, on CPUs without the set.
#
# The portable ("scalar") kernels are compiled for the baseline and need no row.
set(ptq_isa_sources "")

# The files `isa`.cc of all families of kernels, but of those named behind it.
function(ptq_add_isa isa flags)
  file(GLOB sources RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS src/kernels/*/${isa}.cc)
  list(TRANSFORM ARGN PREPEND src/kernels/ OUTPUT_VARIABLE others)
  list(TRANSFORM others APPEND /${isa}.cc)
  list(REMOVE_ITEM sources "" ${others})
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${flags}")
  set(ptq_isa_sources ${ptq_isa_sources} ${sources} PARENT_SCOPE)
endfunction()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  ptq_add_isa(crc "-mcpu=generic+crc")
  ptq_add_isa(neon "")
  ptq_add_isa(dotprod "-mcpu=generic+dotprod")
  ptq_add_isa(i8mm "-mcpu=generic+i8mm")
  # zig has LLVM's names for features.
  ptq_add_isa(neon_fp16 "-mcpu=generic+$<IF:$<BOOL:${PTQ_ZIG_TARGET}>,fullfp16,fp16>")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^arm")
  ptq_add_isa(neon "" gemm)  # which has armv7.cc
  ptq_add_isa(armv7 "")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  ptq_add_isa(pclmul "-mpclmul;-msse4.1")
  ptq_add_isa(f16c "-mavx;-mf16c")
  ptq_add_isa(avx2 "-mavx2;-mfma")
  ptq_add_isa(avxvnni "-mavx2;-mfma;-mavxvnni")
  ptq_add_isa(avx512vnni "-mavx2;-mfma;-mbmi2;-mavx512f;-mavx512bw;-mavx512vl;-mavx512vnni")
  ptq_add_isa(amx "-mavx2;-mfma;-mbmi2;-mavx512f;-mavx512bw;-mavx512vl;-mavx512vnni;-mamx-tile;-mamx-int8")
  ptq_add_isa(avx512vbmi "-mavx512f;-mavx512bw;-mavx512vl;-mavx512vbmi")
endif()
