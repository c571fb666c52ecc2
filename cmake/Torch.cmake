# LibTorch from the unpacked PyPI wheel (.deps/torch). Own imported target: the wheel's TorchConfig demands a CUDA toolkit.
set(MODELHOP_TORCH_DIR ${CMAKE_SOURCE_DIR}/.deps/torch/torch CACHE PATH "The torch package's folder")
if(NOT EXISTS ${MODELHOP_TORCH_DIR}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "no LibTorch in ${MODELHOP_TORCH_DIR}: run ./dev build, or configure with -DMODELHOP_TORCH=OFF")
endif()
add_library(modelhop_torch INTERFACE)
add_library(modelhop::torch ALIAS modelhop_torch)
target_include_directories(modelhop_torch SYSTEM INTERFACE ${MODELHOP_TORCH_DIR}/include)
target_link_directories(modelhop_torch INTERFACE ${MODELHOP_TORCH_DIR}/lib)
# libtorch_cpu names CUDA libraries that a CPU worker never loads symbols from.
target_link_options(modelhop_torch INTERFACE -Wl,--allow-shlib-undefined -Wl,-rpath,${MODELHOP_TORCH_DIR}/lib)
target_link_libraries(modelhop_torch INTERFACE torch_cpu c10)
