// What one run at a time needs: the arena, the workspaces, the threads. All memory is taken at
// creation.
#ifndef PTQ_PROGRAM_CONTEXT_H_
#define PTQ_PROGRAM_CONTEXT_H_

#include "program/program.h"
#include "program/thread_pool.h"

struct ptq_context {
  ptq_status Create(const ptq_program* program, size_t threads);
  ptq_status Run();
  void* TensorData(const ptq::Tensor& tensor) const;
  void NormalizeBools();  // of the inputs: what callers call true becomes 1

  const ptq_program* program = nullptr;
  ptq::ThreadPool pool;
  ptq::Pool pages{0};              // no more than is asked for
  ptq::Pooled<uint8_t> memory;     // the arena
  ptq::Pooled<uint8_t> workspace;  // one per thread
  ptq::Pooled<uint8_t> scratch;    // one for all
  ptq_observer observer = nullptr;
  void* observer_user = nullptr;
};

#endif  // PTQ_PROGRAM_CONTEXT_H_
