# heed_library(<module> SOURCES ... DEPS <modules> LIBS <external targets>)   target heed_<module>
# heed_test(<module> SOURCES ... DEPS ... LIBS ...)     one test binary per module, ctest label = module
# heed_bench(<name> SOURCES ... DEPS ...)               Google Benchmark binary, built on request
# heed_fuzz(<name> SOURCE ... DEPS ...)                 libFuzzer binary, with the clang preset only
find_package(GTest REQUIRED)
find_package(Threads REQUIRED)
find_package(benchmark QUIET)
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")
# Line tables keep crash reports readable at a tenth of the size of full debug information.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")

# mold links the test binaries several times faster than ld; without it the default linker serves.
find_program(MOLD mold)
if(MOLD AND NOT CMAKE_CROSSCOMPILING) # a cross compiler looks for one among its own
  add_link_options(-fuse-ld=mold)
endif()

add_library(heed_flags INTERFACE)
target_compile_features(heed_flags INTERFACE cxx_std_20)
target_include_directories(heed_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
# Missing initialisers are allowed: a designated initialiser that names what matters and leaves the
# optional members empty is how events and requests are written here.
# Sign conversion is left out: Clang puts it into -Wconversion, g++ does not, and index arithmetic
# between size_t and ptrdiff_t would drown the warnings that matter.
target_compile_options(heed_flags INTERFACE -Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow
  -Wnon-virtual-dtor -Wno-missing-field-initializers -fno-math-errno
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety> $<$<BOOL:${HEED_WERROR}>:-Werror>)
target_link_libraries(heed_flags INTERFACE Threads::Threads)
if(HEED_SANITIZE)
  target_compile_options(heed_flags INTERFACE -fsanitize=${HEED_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all
    # g++ 12 sees uninitialised members inside std::regex and std::function once sanitizers are on.
    # The thread sanitizer does not model fences and says so at each of Asio's; mutexes stand beside them.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized> $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  target_link_options(heed_flags INTERFACE -fsanitize=${HEED_SANITIZE})
  target_compile_definitions(heed_flags INTERFACE HEED_SANITIZED=1)
endif()
if(HEED_FUZZ)
  # The libraries too: a fuzzer is guided by the branches of the code under test, not by its own.
  # Without "function": Clang 14 cannot place its marks in coroutines.
  target_compile_options(heed_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=function
                         -fno-sanitize-recover=all)
  target_link_options(heed_flags INTERFACE -fsanitize=address,undefined)
  target_compile_definitions(heed_flags INTERFACE HEED_SANITIZED=1)
endif()
if(HEED_SIMD)
  target_compile_definitions(heed_flags INTERFACE HEED_SIMD=1)
endif()

# An arrow the wrong way stops the build here, before anything is compiled.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
file(GLOB_RECURSE HEED_LAYER_INPUTS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*.h ${CMAKE_SOURCE_DIR}/src/*.cc)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/layers.stamp
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/check_layers.py
  COMMAND ${CMAKE_COMMAND} -E touch ${CMAKE_BINARY_DIR}/layers.stamp
  DEPENDS ${HEED_LAYER_INPUTS} ${CMAKE_SOURCE_DIR}/scripts/check_layers.py
  COMMENT "Checking that includes follow the layer table")
add_custom_target(heed_layers DEPENDS ${CMAKE_BINARY_DIR}/layers.stamp)

function(heed_library NAME)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;DEPS;LIBS")
  list(TRANSFORM ARG_DEPS PREPEND heed_)
  add_library(heed_${NAME} STATIC ${ARG_SOURCES})
  target_link_libraries(heed_${NAME} PUBLIC heed_flags ${ARG_DEPS} ${ARG_LIBS})
  add_dependencies(heed_${NAME} heed_layers)
endfunction()

function(heed_test NAME)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;DEPS;LIBS")
  list(TRANSFORM ARG_DEPS PREPEND heed_)
  add_executable(${NAME}_test ${ARG_SOURCES})
  target_link_libraries(${NAME}_test PRIVATE heed_flags ${ARG_DEPS} ${ARG_LIBS} GTest::gtest_main)
  add_test(NAME ${NAME} COMMAND ${NAME}_test)
  set_tests_properties(${NAME} PROPERTIES LABELS ${NAME} TIMEOUT 600
    ENVIRONMENT "HEED_SOURCE_DIR=${CMAKE_SOURCE_DIR}")
endfunction()

function(heed_bench NAME)
  if(NOT benchmark_FOUND)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;DEPS;LIBS")
  list(TRANSFORM ARG_DEPS PREPEND heed_)
  add_executable(${NAME}_bench EXCLUDE_FROM_ALL ${ARG_SOURCES})
  target_link_libraries(${NAME}_bench PRIVATE heed_flags ${ARG_DEPS} ${ARG_LIBS} benchmark::benchmark_main)
endfunction()

function(heed_fuzz NAME)
  if(NOT HEED_FUZZ)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "SOURCE" "DEPS;LIBS")
  list(TRANSFORM ARG_DEPS PREPEND heed_)
  add_executable(${NAME}_fuzz ${ARG_SOURCE})
  target_compile_options(${NAME}_fuzz PRIVATE -fsanitize=fuzzer,address,undefined)
  target_link_options(${NAME}_fuzz PRIVATE -fsanitize=fuzzer,address,undefined)
  target_link_libraries(${NAME}_fuzz PRIVATE heed_flags ${ARG_DEPS} ${ARG_LIBS})
  set_property(GLOBAL APPEND PROPERTY HEED_FUZZERS ${NAME}_fuzz)
endfunction()
