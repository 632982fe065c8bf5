# Instruction sets per source file: the one place that writes -march, -mcpu or -m flags beyond the toolchain's baseline.
#
# A kernel file for an instruction set is named after it, and is compiled only where its row matches the target CPU:
#   set_source_files_properties(src/kernels/gemm/dotprod.cc PROPERTIES COMPILE_OPTIONS "-mcpu=generic+dotprod")
# Such a file must not instantiate std:: templates: the linker may keep that copy for every caller, on CPUs without the set.
#
# The portable ("scalar") kernels are compiled for the baseline and need no row.
set(ptq_isa_sources "")

function(ptq_add_isa isa flags)
  foreach(family ${ARGN})
    set(source src/kernels/${family}/${isa}.cc)
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${flags}")
    list(APPEND ptq_isa_sources ${source})
  endforeach()
  set(ptq_isa_sources ${ptq_isa_sources} PARENT_SCOPE)
endfunction()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  ptq_add_isa(crc "-mcpu=generic+crc" crc32)
  ptq_add_isa(neon "" convert depthwise elementwise gemm move)
  ptq_add_isa(dotprod "-mcpu=generic+dotprod" depthwise gemm)
  ptq_add_isa(i8mm "-mcpu=generic+i8mm" gemm)
  # zig has LLVM's names for features.
  ptq_add_isa(neon_fp16 "-mcpu=generic+$<IF:$<BOOL:${PTQ_ZIG_TARGET}>,fullfp16,fp16>" depthwise elementwise gemm pool unary)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^arm")
  ptq_add_isa(neon "" convert depthwise elementwise move)
  ptq_add_isa(armv7 "" gemm)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  ptq_add_isa(pclmul "-mpclmul;-msse4.1" crc32)
  ptq_add_isa(f16c "-mavx;-mf16c" convert)
  ptq_add_isa(avx2 "-mavx2;-mfma" convert depthwise elementwise gemm move pool reduce resize softmax unary winograd)
  ptq_add_isa(avxvnni "-mavx2;-mfma;-mavxvnni" depthwise gemm)
  ptq_add_isa(avx512vnni "-mavx2;-mfma;-mbmi2;-mavx512f;-mavx512bw;-mavx512vl;-mavx512vnni" convert depthwise elementwise gemm pool resize softmax unary winograd)
  ptq_add_isa(amx "-mavx2;-mfma;-mbmi2;-mavx512f;-mavx512bw;-mavx512vl;-mavx512vnni;-mamx-tile;-mamx-int8" gemm)
  ptq_add_isa(avx512vbmi "-mavx512f;-mavx512bw;-mavx512vl;-mavx512vbmi" convert)
endif()
