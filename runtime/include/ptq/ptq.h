// C API of the ptq runtime: load a flat file (docs/flat_format.md), run it, look at it.
// examples/c/classify.c is a whole program that uses it.
//
// Versions. PTQ_API_VERSION is the version of this header, ptq_api_version() that of the library. A
// program runs with any library of the same major version that is not older than the header it was
// compiled with: within a major version functions, enumerators and structs stay as they are, and
// only functions, status codes and element types are added. Nothing else is exported by the
// library.
//
// Failure. Functions that can fail return a ptq_status; on failure *out arguments are untouched.
// ptq_last_error() then says what was wrong and which rule it broke. No function aborts, exits,
// prints, or throws.
//
// Threads. A ptq_program is immutable once loaded: any number of threads may use it at once, and
// create contexts of it. A ptq_context belongs to one thread at a time. The error message belongs
// to each thread alone.
//
// fork(). A child may run and destroy what its parent made: a context's threads are started again
// by its first ptq_run in the child. A context that another thread ran while the process forked
// holds half a run: write its inputs again.
//
// Ownership. What ptq_..._load, _from_memory and _create give is the caller's, who gives it back to
// the _destroy of its type; destroying a null pointer does nothing. Contexts are destroyed before
// their program. Strings and infos are the program's and live as long as it.
//
// Files from strangers. Any bytes may be loaded: they are checked first, and loading takes at most
// 4 * (size of the file + its arena) + 16 MiB of memory, compressed weights counted as floats.
// Creating a context takes
// ptq_program_arena_bytes() and workspaces for each thread, bounded likewise; a run takes a time
// that follows from ptq_program_work(). Callers who do not trust the file compare both numbers with
// limits of their own before they create a context. A file is mapped, not copied: while a program
// is loaded from it, nobody may write to it or truncate it, as the result would be undefined (a
// truncated mapping ends in SIGBUS). Replace files by renaming another onto them, or load from
// memory.
#ifndef PTQ_PTQ_H_
#define PTQ_PTQ_H_

#include <stddef.h>
#include <stdint.h>

#define PTQ_API_VERSION_MAJOR 1
#define PTQ_API_VERSION_MINOR 1
#define PTQ_API_VERSION (PTQ_API_VERSION_MAJOR * 1000 + PTQ_API_VERSION_MINOR)

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
  PTQ_IO_ERROR = 2,          // the file cannot be opened or mapped, or is no regular file
  PTQ_BAD_FILE = 3,          // not a flat file, truncated, damaged, or against the format's rules
  PTQ_UNSUPPORTED = 4,       // a valid file that this build or CPU cannot run
  PTQ_OUT_OF_MEMORY = 5,     // memory, threads, or more than a file of this size may ask for
  PTQ_OUT_OF_RANGE = 6  // a run computed an index that does not exist, or divided integers by 0
} ptq_status;

typedef enum ptq_dtype {
  PTQ_FLOAT32 = 1,
  PTQ_INT8 = 2,
  PTQ_INT32 = 3,
  PTQ_FLOAT16 = 5,  // inside of programs; `ptq opt` writes none at their inputs and outputs
  PTQ_INT64 = 6,
  PTQ_UINT8 = 7,
  PTQ_BOOL = 8  // a byte; at inputs 0 is false and others are true, results are 0 or 1
} ptq_dtype;

// A loaded file, checked, with its weights packed for this CPU.
typedef struct ptq_program ptq_program;
// Memory and threads to run a program, one run at a time.
typedef struct ptq_context ptq_context;

typedef struct ptq_tensor_info {
  const char* name;    // UTF-8, as in the model
  int32_t dtype;       // ptq_dtype
  int32_t rank;        // 0 ... 8
  int64_t dims[8];     // the first `rank`, outermost first; 0 beyond
  size_t size_bytes;   // of all elements, without gaps
  float scale;         // real = scale * (q - zero_point); the first scale, 0 if the tensor has none
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

// Called after each operator of ptq_run, on the thread that called it, with the operator's first
// output. `output` and `data` are valid during the call; the call may not use the context.
typedef void (*ptq_observer)(void* user, uint32_t op_index, const ptq_tensor_info* output,
                             const void* data, double microseconds);

// --- Of the library ---

// The tool's version, "0.2.0".
PTQ_API const char* ptq_version(void);

// The library's PTQ_API_VERSION.
PTQ_API int32_t ptq_api_version(void);

// Why the last call on this thread failed, UTF-8, one line; "" if it did not. Valid until the
// thread's next call.
PTQ_API const char* ptq_last_error(void);

// Names of the instruction sets that a program loaded now would use, e.g. "scalar neon dotprod":
// those of this CPU, or fewer if the environment variable PTQ_CPU says so. Valid until the thread's
// next call of it.
PTQ_API const char* ptq_cpu_features(void);

// --- Programs ---

// Loads the file at `path`, which is mapped. Fails with PTQ_IO_ERROR, PTQ_BAD_FILE,
// PTQ_UNSUPPORTED or PTQ_OUT_OF_MEMORY; with PTQ_INVALID_ARGUMENT if PTQ_CPU names no instruction
// set.
PTQ_API ptq_status ptq_program_load(const char* path, ptq_program** out);

// Loads `size` bytes. They are copied only if `data` is not 64-byte aligned; otherwise they must
// outlive the program, unchanged.
PTQ_API ptq_status ptq_program_from_memory(const void* data, size_t size, ptq_program** out);

PTQ_API void ptq_program_destroy(ptq_program* program);

// The bytes that each context takes for activations. 0 for a null pointer, as for the following
// four.
PTQ_API size_t ptq_program_arena_bytes(const ptq_program* program);
// A bound of the elementary steps of one run: multiply-accumulates, elements read and written
// (docs/flat_format.md, "Limits").
PTQ_API uint64_t ptq_program_work(const ptq_program* program);
PTQ_API size_t ptq_program_input_count(const ptq_program* program);
PTQ_API size_t ptq_program_output_count(const ptq_program* program);
PTQ_API size_t ptq_program_op_count(const ptq_program* program);

// Inputs and outputs are in the model's order, operators in that of their execution. An index out
// of range fails with PTQ_INVALID_ARGUMENT.
PTQ_API ptq_status ptq_program_input_info(const ptq_program* program, size_t index,
                                          ptq_tensor_info* out);
PTQ_API ptq_status ptq_program_output_info(const ptq_program* program, size_t index,
                                           ptq_tensor_info* out);
PTQ_API ptq_status ptq_program_op_info(const ptq_program* program, size_t index, ptq_op_info* out);

// --- Contexts ---

// Takes all memory that runs need and starts the threads. threads: 1 ... 64; the calling thread of
// ptq_run is one of them. Results do not depend on their number.
PTQ_API ptq_status ptq_context_create(const ptq_program* program, int32_t threads,
                                      ptq_context** out);

// Keeps thread i of the context, thread 0 being the caller's own, on CPU cpus[i % count]. Fails for
// a CPU that does not exist or that this process may not use. ptq_context_destroy, on the same
// thread, gives the caller its CPUs back.
PTQ_API ptq_status ptq_context_pin_threads(ptq_context* context, const int32_t* cpus, size_t count);

PTQ_API void ptq_context_destroy(ptq_context* context);

// The context's own buffers, 64-byte aligned, of the tensor's size_bytes: write inputs before
// ptq_run, read outputs after it. Inputs keep their values across runs. Null if out of range.
PTQ_API void* ptq_context_input(ptq_context* context, size_t index);
PTQ_API const void* ptq_context_output(const ptq_context* context, size_t index);

// Calls `observer` in the following runs; null ends that.
PTQ_API void ptq_context_set_observer(ptq_context* context, ptq_observer observer, void* user);

// One inference; allocates nothing. Fails for a null pointer, and with PTQ_OUT_OF_RANGE: outputs
// are then of no meaning, and the context can run again.
PTQ_API ptq_status ptq_run(ptq_context* context);

#ifdef __cplusplus
}
#endif

#endif  // PTQ_PTQ_H_
