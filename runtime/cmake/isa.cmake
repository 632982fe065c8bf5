# Instruction sets per source file: the one place that writes -march, -mcpu or -m flags beyond the toolchain's baseline.
#
# A kernel file for an instruction set is named after it, and is compiled only where its row matches the target CPU:
#   set_source_files_properties(src/kernels/gemm/dotprod.cc PROPERTIES COMPILE_OPTIONS "-mcpu=generic+dotprod")
# Such a file must not instantiate std:: templates: the linker may keep that copy for every caller, on CPUs without the set.
#
# The portable ("scalar") kernels are compiled for the baseline and need no row.
