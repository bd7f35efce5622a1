# The table ISA row -> compiler flags, best row last. A file X.kernel.cc is compiled once per row of its list and exports
# one table of function pointers per row, lamina::<row>::<name>; X.cc picks the best that the CPU has (ops/dispatch.h).
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(LAMINA_ROWS_DEFAULT baseline avx2 avx512)
  set(LAMINA_FLAGS_baseline -march=x86-64-v2)
  set(LAMINA_FLAGS_avx2 -march=x86-64-v3 -mtune=haswell)
  set(LAMINA_FLAGS_avx512 -march=x86-64-v4 -mtune=skylake-avx512 -mprefer-vector-width=512)
  set(LAMINA_FLAGS_avx512_bf16 ${LAMINA_FLAGS_avx512} -mavx512vnni -mavx512bf16)
  set(LAMINA_FLAGS_amx ${LAMINA_FLAGS_avx512_bf16} -mamx-tile -mamx-bf16 -mamx-int8)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64|ARM64")
  set(LAMINA_ROWS_DEFAULT neon)
  # GCC's first scheduling pass loads far ahead and spills accumulators for it: 9 of 28 in the widest tile.
  set(LAMINA_FLAGS_neon -march=armv8-a -fno-schedule-insns)
else()
  set(LAMINA_ROWS_DEFAULT baseline)
  set(LAMINA_FLAGS_baseline)
endif()

# lamina_kernels(target path/to/stem [row ...]): compile stem.kernel.cc per row and tell stem.cc its rows, best first.
function(lamina_kernels target stem)
  set(rows ${ARGN})
  if(NOT rows)
    set(rows ${LAMINA_ROWS_DEFAULT})
  endif()
  get_filename_component(name ${stem} NAME)
  set(list "")
  foreach(row IN LISTS rows)
    if(NOT DEFINED LAMINA_FLAGS_${row})  # of another architecture
      continue()
    endif()
    set(object ${target}_${name}_${row})
    add_library(${object} OBJECT ${stem}.kernel.cc)
    target_include_directories(${object} PRIVATE ${PROJECT_SOURCE_DIR}/cpp)
    target_compile_definitions(${object} PRIVATE LAMINA_ROW=${row} LAMINA_ROW_${row})
    # Always optimised: at -O0 even trivial inline functions become weak symbols built with this row's instructions.
    target_compile_options(${object} PRIVATE -O3 -fno-exceptions -fno-rtti -fno-math-errno -fno-trapping-math
                                             -fno-lto -fno-sanitize=all ${LAMINA_FLAGS_${row}})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${object}>)
    string(PREPEND list "X(T,name,${row}) ")
  endforeach()
  set_property(SOURCE ${stem}.cc APPEND PROPERTY COMPILE_OPTIONS "-DLAMINA_ROWS(X,T,name)=${list}")
endfunction()
