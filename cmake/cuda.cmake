# The GPU path: the kernels as a library of their own, so that tests can take the host's twins instead (tests/CMakeLists.txt); what is linked
# and what is loaded when it is needed is told in ops/cuda/cuda_calls.h. Nothing here needs a card.
if(NOT LADNN_HAVE_CUDA)
  return()
endif()
file(GLOB kernel_sources CONFIGURE_DEPENDS ops/cuda/*.cu)
add_library(ladnn_kernels STATIC ${kernel_sources})
set_target_properties(ladnn_kernels PROPERTIES CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON POSITION_INDEPENDENT_CODE ON
  CUDA_ARCHITECTURES "${LADNN_CUDA_ARCHITECTURES}"
  COMPILE_OPTIONS "-Werror=all-warnings;-Xcompiler=-Wall,-Wextra;-lineinfo") # in place of the options of the C sources
target_compile_definitions(ladnn_kernels PRIVATE _GNU_SOURCE)
target_include_directories(ladnn_core SYSTEM PUBLIC ${CUDNN_INCLUDE} ${CUDA_INCLUDE})
target_compile_definitions(ladnn_core PUBLIC LADNN_HAVE_CUDA)
get_filename_component(cuda_libraries ${CUDNN_LIBRARY} DIRECTORY)
get_filename_component(matmul_libraries ${CUBLASLT_LIBRARY} DIRECTORY)
set_source_files_properties(ops/cuda/cuda_calls.c PROPERTIES COMPILE_DEFINITIONS
  "LADNN_CUDA_LIBRARIES=\"${cuda_libraries}\";LADNN_MATMUL_LIBRARIES=\"${matmul_libraries}\"")
target_link_libraries(ladnn_core PUBLIC ladnn_kernels ${CUDART_STATIC} rt)
target_link_libraries(ladnn_kernels PUBLIC ladnn_core) # they end the program through base/
if(LADNN_HAVE_NCCL)
  target_include_directories(ladnn_core SYSTEM PUBLIC ${NCCL_INCLUDE})
  target_compile_definitions(ladnn_core PUBLIC LADNN_HAVE_NCCL)
  get_filename_component(nccl_libraries ${NCCL_LIBRARY} DIRECTORY)
  set_source_files_properties(dist/nccl_calls.c PROPERTIES COMPILE_DEFINITIONS "LADNN_NCCL_LIBRARIES=\"${nccl_libraries}\"")
endif()
