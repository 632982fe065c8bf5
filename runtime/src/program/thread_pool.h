// A fixed set of threads that split index ranges. Threads take the next chunk of the range when
// they have done one, so a slow core does not hold up the others; since no kernel shares an
// accumulator across chunks, results do not depend on the number of threads or on who took what.
//
// Workers spin for a short while after a job, as the next operator follows within microseconds, and
// then sleep.
#ifndef PTQ_PROGRAM_THREAD_POOL_H_
#define PTQ_PROGRAM_THREAD_POOL_H_

#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>

#include <atomic>

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

  // In a process that was forked off since Start the workers are gone: starts new ones, on the same
  // CPUs. Call before Run; does nothing elsewhere.
  ptq_status ReviveAfterFork();

  // Keeps thread i, the calling one being 0, on CPU cpus[i % count]. The end of the pool, on the
  // same thread, gives the calling one its CPUs back.
  ptq_status Pin(const int32_t* cpus, size_t count);

  // Calls body over [0, count) and returns when all of it is done. Chunks have at least `grain`
  // items (but the last), so that little work stays on the calling thread. One call at a time.
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
    size_t index;  // 1 ...; the calling thread is 0
    pthread_t thread;
    int32_t id;   // of the kernel; 0 until the thread runs
    int32_t cpu;  // where Pin keeps it
  };
  bool HasWorkers() const;
  ptq_status StartWorkers();
  void StopWorkers();
  ptq_status KeepOnCpu(size_t thread, int32_t cpu);
  static void* WorkerMain(void* worker);
  void TakeChunks(size_t thread);
  uint64_t WaitForJob(uint64_t seen);
  void WaitForWorkers();

  Array<Worker> workers_;
  size_t started_ = 0;
  bool synchronised_ = false;  // the mutex and the condition variables exist
  uint32_t forks_ = 0;         // when the workers were started
  cpu_set_t caller_cpus_;      // before Pin
  bool pinned_ = false;
  std::atomic<uint32_t> spins_{0};  // looks at a variable before a thread sleeps
  pthread_mutex_t mutex_;
  pthread_cond_t wake_, done_;

  // The current job. Plain fields are written before generation_ and read after it.
  size_t count_ = 0, chunk_ = 1;
  Body body_ = nullptr;
  void* argument_ = nullptr;
  std::atomic<size_t> next_{0};  // begin of the first chunk that nobody took
  // Counts jobs, the last one being the end of the pool; the low bits are the threads that the job
  // is for. A worker beyond them may miss it: nobody waits for it.
  std::atomic<uint64_t> generation_{0};
  std::atomic<bool> stop_{false};
  std::atomic<size_t> pending_{0};   // workers of the current job that have not finished it
  std::atomic<size_t> sleepers_{0};  // workers that wait for wake_
  std::atomic<bool> caller_sleeps_{false};
};

}  // namespace ptq

#endif  // PTQ_PROGRAM_THREAD_POOL_H_
