# Build rules shared by every module. One function, hadal_module(), makes a module's library, the set of
# its public headers and its tests; its DEPS line is the module's row of the layer table in
# src/ARCHITECTURE.md, which scripts/lint/check_layers.py compares.

include_guard()

find_program(HADAL_CCACHE ccache)
if(HADAL_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${HADAL_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${HADAL_CCACHE})
endif()

if(HADAL_CUDA STREQUAL "AUTO")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(HADAL_CUDA ON)
  else()
    set(HADAL_CUDA OFF)
  endif()
endif()
message(STATUS "hadal: CUDA ${HADAL_CUDA}, sanitizer '${HADAL_SANITIZER}'")
if(HADAL_CUDA)
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 90a)
  endif()
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 stops at C++17 for nvcc
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
  endif()
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  find_package(CUDAToolkit REQUIRED)
  # What the generic kernels are compiled for: Hopper, where the tests run, and Blackwell.
  set(HADAL_GENERIC_ARCHITECTURES "90a-real;100a-real" CACHE STRING "Architectures of the generic kernels")
  include(hadal_kernel)
endif()

# -Wno-missing-field-initializers: designated initialisers name what differs from a struct's defaults.
add_library(hadal_build_flags INTERFACE)
target_include_directories(hadal_build_flags INTERFACE ${CMAKE_SOURCE_DIR}/include)
target_compile_options(hadal_build_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wnon-virtual-dtor;-Wno-missing-field-initializers;-Werror>
  $<$<COMPILE_LANGUAGE:CUDA>:--Werror=all-warnings;-lineinfo;--expt-relaxed-constexpr;-Xcompiler=-Wall,-Wextra,-Werror>)
if(HADAL_SANITIZER)
  string(REPLACE "+" "," hadal_sanitizers "${HADAL_SANITIZER}")
  # GCC's uninitialised-value warnings are wrong in instrumented code; the other presets keep them.
  target_compile_options(hadal_build_flags INTERFACE
    -fsanitize=${hadal_sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all
    -Wno-maybe-uninitialized)
  target_link_options(hadal_build_flags INTERFACE -fsanitize=${hadal_sanitizers})
endif()

# hadal_module(<name> [HEADERS ...] [SOURCES ...] [DEPS ...] [LIBS ...] [TESTS ...] [GOLDEN ...])
#   name     the folder below src, e.g. `base` or `ops/cpu`; the library is hadal_<name with _>
#   HEADERS  public headers, relative to include/hadal/<name>; each must compile alone
#   SOURCES  relative to src/<name>
#   DEPS     modules this one may include: its row of the layer table
#   LIBS     third-party targets, PRIVATE
#   TESTS    test sources, relative to tests/<name>; ctest label `unit`
#   GOLDEN   the same with label `golden`
function(hadal_module name)
  cmake_parse_arguments(M "" "" "HEADERS;SOURCES;DEPS;LIBS;TESTS;GOLDEN" ${ARGN})
  string(REPLACE "/" "_" id ${name})
  set(target hadal_${id})
  set(include_dir ${CMAKE_SOURCE_DIR}/include)
  list(TRANSFORM M_HEADERS PREPEND ${include_dir}/hadal/${name}/)
  list(TRANSFORM M_SOURCES PREPEND ${CMAKE_SOURCE_DIR}/src/${name}/)
  set(deps)
  foreach(dep IN LISTS M_DEPS)
    string(REPLACE "/" "_" dep_id ${dep})
    list(APPEND deps hadal_${dep_id})
  endforeach()

  if(M_SOURCES)
    add_library(${target} STATIC ${M_SOURCES})
    set(scope PUBLIC)
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(${target} PRIVATE ${M_LIBS})
    set_target_properties(${target} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS ${include_dir} FILES ${M_HEADERS})
  set_target_properties(${target} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  target_link_libraries(${target} ${scope} hadal_build_flags ${deps} fmt::fmt)

  hadal_tests(${name} unit LINK ${target} ${M_LIBS} SOURCES ${M_TESTS})
  hadal_tests(${name} golden LINK ${target} ${M_LIBS} SOURCES ${M_GOLDEN})
endfunction()

# hadal_tests(<folder below tests> <label> LINK <targets> SOURCES <files> [TIMEOUT <seconds>])
# One executable, one ctest entry per GoogleTest case. The target all_<label>_tests builds those of one label.
function(hadal_tests folder label)
  cmake_parse_arguments(T "" "TIMEOUT" "LINK;SOURCES" ${ARGN})
  if(NOT HADAL_TESTS OR NOT T_SOURCES)
    return()
  endif()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  set(fixture)
  if(NOT label STREQUAL "unit")
    set(fixture FIXTURES_REQUIRED tiny_r1_formats)  # tests/CMakeLists.txt
  endif()
  string(REPLACE "/" "_" id ${folder})
  set(target hadal_${id}_${label}_tests)
  list(TRANSFORM T_SOURCES PREPEND ${CMAKE_SOURCE_DIR}/tests/${folder}/)
  add_executable(${target} ${T_SOURCES})
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE hadal_build_flags ${T_LINK} hadal_test_support GTest::gmock_main)
  if(NOT TARGET all_${label}_tests)
    add_custom_target(all_${label}_tests)
  endif()
  add_dependencies(all_${label}_tests ${target})
  gtest_discover_tests(${target} TEST_PREFIX ${folder}/ DISCOVERY_MODE PRE_TEST
    PROPERTIES LABELS ${label} TIMEOUT ${T_TIMEOUT} ${fixture})
endfunction()

# hadal_gpu_tests(<folder below tests> LINK <targets> SOURCES <files>): tests that need a GPU; one
# executable, ctest label `gpu`, one at a time on a machine's GPU.
function(hadal_gpu_tests folder)
  if(NOT HADAL_CUDA)
    return()
  endif()
  hadal_tests(${folder} gpu TIMEOUT 300 ${ARGN})
endfunction()

# Everything that verifies public headers, as one target built by default.
function(hadal_verify_headers)
  if(TARGET all_verify_interface_header_sets)
    add_custom_target(hadal_headers ALL DEPENDS all_verify_interface_header_sets)
  endif()
endfunction()
