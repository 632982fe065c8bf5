# The sources of kernels. A family is a folder of src/kernels with a kernels.inc; its other files are found by their names.
include(cmake/isa.cmake)
file(GLOB ptq_kernel_sources RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS
  src/kernels/*/kernels.cc src/kernels/*/scalar.cc)
list(APPEND ptq_kernel_sources ${ptq_isa_sources})

# generated/kernel_families.h has the contracts of all families, kernel_families.inc their rows.
file(GLOB families RELATIVE ${CMAKE_CURRENT_SOURCE_DIR}/src CONFIGURE_DEPENDS src/kernels/*/kernels.inc)
foreach(extension h inc)
  set(text "")
  foreach(family ${families})
    if(extension STREQUAL h)
      string(REPLACE kernels.inc contract.h family ${family})
    endif()
    string(APPEND text "#include \"${family}\"\n")
  endforeach()
  file(CONFIGURE OUTPUT generated/kernel_families.${extension} CONTENT "${text}" @ONLY)
endforeach()
