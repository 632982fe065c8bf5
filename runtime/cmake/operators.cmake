# The sources of operators: their files, and the tables that generate_operators.py makes of the rows in ptq_core/flatfile/operators.
# `ptq_generated` is the folder above `generated`. A source archive has the tables beside CMakeLists.txt and needs no Python.
file(GLOB ptq_operator_sources RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS src/ops/*.cc)

if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/generated/operators.h)
  set(ptq_generated ${CMAKE_CURRENT_SOURCE_DIR})
else()
  set(ptq_generated ${CMAKE_CURRENT_BINARY_DIR})
  if(PTQ_PYTHON)
    set(Python3_EXECUTABLE ${PTQ_PYTHON})
  endif()
  set(Python3_FIND_STRATEGY LOCATION)  # the first of the PATH, not the newest
  find_package(Python3 3.10 REQUIRED COMPONENTS Interpreter)
  execute_process(
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/generate_operators.py ${ptq_generated}/generated
    RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "The operator tables are made by Python >= 3.10 with NumPy, and ${Python3_EXECUTABLE} failed: "
      "choose another with -DPython3_EXECUTABLE=..., or build from a source archive, which has them.")
  endif()
  file(GLOB rows CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/../ptq_core/flatfile/operators/*.py)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS generate_operators.py ${rows})
endif()

list(APPEND ptq_operator_sources ${ptq_generated}/generated/op_kinds.cc)
if(PTQ_TAILORED)
  list(APPEND ptq_operator_sources ${PTQ_TAILORED}/generated/registry.cc)
else()
  list(APPEND ptq_operator_sources ${ptq_generated}/generated/registry.cc)
endif()
