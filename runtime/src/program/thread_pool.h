// A fixed set of threads that split index ranges. The range is cut into one contiguous piece per
// thread; since no kernel shares an accumulator across pieces, results do not depend on the number
// of threads.
#ifndef PTQ_PROGRAM_THREAD_POOL_H_
#define PTQ_PROGRAM_THREAD_POOL_H_

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "base/array.h"

namespace ptq {

class ThreadPool {
 public:
  using Body = void (*)(void* argument, size_t begin, size_t end, size_t thread);

  ThreadPool() = default;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  // `threads` includes the calling thread. Call once.
  ptq_status Start(size_t threads);
  size_t thread_count() const { return workers_.size() + 1; }

  // Calls body over [0, count) and returns when all of it is done. Pieces have at least `grain`
  // items, so that little work stays on the calling thread. One call at a time.
  void Run(size_t count, size_t grain, Body body, void* argument);

  // The same for a callable f(begin, end, thread).
  template <typename F>
  void ParallelFor(size_t count, size_t grain, F& f) {
    Run(
        count, grain,
        [](void* self, size_t begin, size_t end, size_t thread) {
          (*static_cast<F*>(self))(begin, end, thread);
        },
        &f);
  }

 private:
  struct Worker {
    ThreadPool* pool;
    size_t index;  // of the piece it takes; the calling thread takes piece 0
    pthread_t thread;
  };
  static void* WorkerMain(void* worker);
  void RunPiece(size_t index);

  Array<Worker> workers_;
  size_t started_ = 0;
  bool synchronised_ = false;
  pthread_mutex_t mutex_;
  pthread_cond_t wake_, done_;
  // Guarded by mutex_: the current job.
  uint64_t generation_ = 0;
  size_t pending_ = 0;  // workers that have not finished the current generation
  bool stop_ = false;
  size_t count_ = 0, pieces_ = 1;
  Body body_ = nullptr;
  void* argument_ = nullptr;
};

}  // namespace ptq

#endif  // PTQ_PROGRAM_THREAD_POOL_H_
