// C API of the ptq runtime: load a flat file (docs/flat_format.md), run it, look at it.
//
// Rules that hold everywhere:
//  - Functions that can fail return ptq_status; on failure *out arguments are untouched, and
//  ptq_last_error() describes the
//    failure (what, rule) for the calling thread.
//  - A ptq_program is immutable and may be shared by threads. A ptq_context belongs to one thread
//  at a time. A context must be
//    destroyed before its program.
//  - Strings and infos returned live as long as the program.
#ifndef PTQ_PTQ_H_
#define PTQ_PTQ_H_

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define PTQ_API
#else
#define PTQ_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ptq_status {
  PTQ_OK = 0,
  PTQ_INVALID_ARGUMENT = 1,  // a null pointer, an index out of range, a size that does not match
  PTQ_IO_ERROR = 2,          // the file cannot be opened or mapped
  PTQ_BAD_FILE = 3,          // not a flat file, truncated, damaged, or against the format's rules
  PTQ_UNSUPPORTED = 4,       // a valid file that this build or CPU cannot run
  PTQ_OUT_OF_MEMORY = 5
} ptq_status;

typedef enum ptq_dtype { PTQ_FLOAT32 = 1, PTQ_INT8 = 2, PTQ_INT32 = 3 } ptq_dtype;

typedef struct ptq_program ptq_program;
typedef struct ptq_context ptq_context;

typedef struct ptq_tensor_info {
  const char* name;
  int32_t dtype;  // ptq_dtype
  int32_t rank;
  int64_t dims[8];
  size_t size_bytes;
  float scale;         // first scale; 0 if the tensor has none
  int32_t zero_point;  // 0 if the tensor has none
} ptq_tensor_info;

typedef struct ptq_op_info {
  const char* name;    // the node's name in the model
  const char* kind;    // "conv2d", ... as in docs/flat_format.md
  const char* kernel;  // the kernel chosen for this CPU
  uint32_t input_count;
  uint32_t output_count;
  uint64_t macs;  // multiply-accumulates of one run; 0 where that says nothing
} ptq_op_info;

// Called after each operator of ptq_run, with the operator's first output. `data` is valid during
// the call.
typedef void (*ptq_observer)(void* user, uint32_t op_index, const ptq_tensor_info* output,
                             const void* data, double microseconds);

PTQ_API const char* ptq_version(void);       // "0.1.0"
PTQ_API const char* ptq_last_error(void);    // of the calling thread; "" if none
PTQ_API const char* ptq_cpu_features(void);  // names of instruction sets in use, e.g. "scalar"

PTQ_API ptq_status ptq_program_load(const char* path, ptq_program** out);
// `data` is copied only if it is not 64-byte aligned; otherwise it must outlive the program.
PTQ_API ptq_status ptq_program_from_memory(const void* data, size_t size, ptq_program** out);
PTQ_API void ptq_program_destroy(ptq_program* program);

PTQ_API size_t ptq_program_arena_bytes(const ptq_program* program);
PTQ_API uint64_t ptq_program_work(const ptq_program* program);
PTQ_API size_t ptq_program_input_count(const ptq_program* program);
PTQ_API size_t ptq_program_output_count(const ptq_program* program);
PTQ_API size_t ptq_program_op_count(const ptq_program* program);
PTQ_API ptq_status ptq_program_input_info(const ptq_program* program, size_t index,
                                          ptq_tensor_info* out);
PTQ_API ptq_status ptq_program_output_info(const ptq_program* program, size_t index,
                                           ptq_tensor_info* out);
PTQ_API ptq_status ptq_program_op_info(const ptq_program* program, size_t index, ptq_op_info* out);

// threads: 1 ... 64. The calling thread is one of them.
PTQ_API ptq_status ptq_context_create(const ptq_program* program, int32_t threads,
                                      ptq_context** out);
// Keeps thread i of the context, thread 0 being the caller's own, on CPU cpus[i % count]. Fails for
// a CPU that does not exist or that this process may not use. ptq_context_destroy, on the same
// thread, gives the caller its CPUs back.
PTQ_API ptq_status ptq_context_pin_threads(ptq_context* context, const int32_t* cpus, size_t count);
PTQ_API void ptq_context_destroy(ptq_context* context);
// The context's own buffers: write inputs before ptq_run, read outputs after it. Inputs keep their
// values across runs.
PTQ_API void* ptq_context_input(ptq_context* context, size_t index);  // NULL if out of range
PTQ_API const void* ptq_context_output(const ptq_context* context,
                                       size_t index);  // NULL if out of range
PTQ_API void ptq_context_set_observer(ptq_context* context, ptq_observer observer, void* user);
PTQ_API ptq_status ptq_run(ptq_context* context);

#ifdef __cplusplus
}
#endif

#endif  // PTQ_PTQ_H_
