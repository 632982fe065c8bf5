// Thread pool on plain pthreads.
#include "program/thread_pool.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/math.h"

namespace ptq {
namespace {

// About 20 (Arm) to 100 (x86) microseconds: longer than the gap between two operators, shorter than
// anyone notices.
constexpr uint32_t kSpins = 2000;

// Chunks per thread: enough that cores of different speeds finish together.
constexpr size_t kChunksPerThread = 4;

constexpr uint64_t kThreadBits = 16;  // of a generation
constexpr uint64_t kThreadMask = (uint64_t{1} << kThreadBits) - 1;

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

// How many CPUs this process may use.
size_t AvailableCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<size_t>(CPU_COUNT(&set));
}

// Forks between this process and the first one of its ancestors that started a pool.
std::atomic<uint32_t> forks{0};
pthread_once_t watching = PTHREAD_ONCE_INIT;

void WatchForks() {
  // It can fail for want of memory only; then a forked child is as lost as without it.
  pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
}

}  // namespace

ThreadPool::~ThreadPool() {
  if (pinned_) sched_setaffinity(0, sizeof caller_cpus_, &caller_cpus_);
  // A forked child has nobody to join, and nothing to destroy: threads of its parent wait for it.
  if (HasWorkers()) StopWorkers();
}

ptq_status ThreadPool::Start(size_t threads) {
  if (threads <= 1) return PTQ_OK;
  PTQ_RETURN_IF_ERROR(workers_.Allocate(threads - 1));
  // With more threads than CPUs, one that spins takes the time of one that works.
  spins_.store(threads <= AvailableCpus() ? kSpins : 0);
  pthread_once(&watching, &WatchForks);
  return StartWorkers();
}

bool ThreadPool::HasWorkers() const {
  return synchronised_ && forks_ == forks.load(std::memory_order_relaxed);
}

ptq_status ThreadPool::StartWorkers() {
  forks_ = forks.load(std::memory_order_relaxed);
  synchronised_ = false;
  started_ = 0;
  stop_.store(false);
  generation_.store(0);
  pending_.store(0);
  sleepers_.store(0);
  caller_sleeps_.store(false);
  if (pthread_mutex_init(&mutex_, nullptr) != 0)
    return Fail(PTQ_OUT_OF_MEMORY, "cannot create a mutex");
  if (pthread_cond_init(&wake_, nullptr) != 0) {
    pthread_mutex_destroy(&mutex_);
    return Fail(PTQ_OUT_OF_MEMORY, "cannot create a condition variable");
  }
  if (pthread_cond_init(&done_, nullptr) != 0) {
    pthread_cond_destroy(&wake_);
    pthread_mutex_destroy(&mutex_);
    return Fail(PTQ_OUT_OF_MEMORY, "cannot create a condition variable");
  }
  synchronised_ = true;
  for (size_t i = 0; i < workers_.size(); ++i) {
    workers_[i].pool = this;
    workers_[i].index = i + 1;
    workers_[i].id = 0;
    const int error = pthread_create(&workers_[i].thread, nullptr, &WorkerMain, &workers_[i]);
    if (error != 0) {
      StopWorkers();
      return Fail(PTQ_OUT_OF_MEMORY, "cannot start thread %zu of %zu: %s", i + 2, thread_count(),
                  strerror(error));
    }
    ++started_;
  }
  return PTQ_OK;
}

void ThreadPool::StopWorkers() {
  stop_.store(true);
  generation_.store(((generation_.load() >> kThreadBits) + 1) << kThreadBits);
  pthread_mutex_lock(&mutex_);
  pthread_cond_broadcast(&wake_);
  pthread_mutex_unlock(&mutex_);
  for (size_t i = 0; i < started_; ++i) pthread_join(workers_[i].thread, nullptr);
  pthread_cond_destroy(&done_);
  pthread_cond_destroy(&wake_);
  pthread_mutex_destroy(&mutex_);
  synchronised_ = false;
}

ptq_status ThreadPool::ReviveAfterFork() {
  if (workers_.size() == 0 || HasWorkers()) return PTQ_OK;
  PTQ_RETURN_IF_ERROR(StartWorkers());
  for (size_t i = 0; pinned_ && i < workers_.size(); ++i) {
    const ptq_status status = KeepOnCpu(i + 1, workers_[i].cpu);
    if (status == PTQ_OK) continue;
    StopWorkers();
    return status;
  }
  return PTQ_OK;
}

ptq_status ThreadPool::Pin(const int32_t* cpus, size_t count) {
  PTQ_RETURN_IF_ERROR(ReviveAfterFork());  // the ids of the parent's workers are not ours
  if (!pinned_) pinned_ = sched_getaffinity(0, sizeof caller_cpus_, &caller_cpus_) == 0;
  cpu_set_t all;
  CPU_ZERO(&all);
  for (size_t i = 0; i < thread_count(); ++i) {
    const int32_t cpu = cpus[i % count];
    if (i > 0) workers_[i - 1].cpu = cpu;
    PTQ_RETURN_IF_ERROR(KeepOnCpu(i, cpu));
    CPU_SET(static_cast<size_t>(cpu), &all);
  }
  spins_.store(static_cast<size_t>(CPU_COUNT(&all)) >= thread_count() ? kSpins : 0);
  return PTQ_OK;
}

ptq_status ThreadPool::KeepOnCpu(size_t thread, int32_t cpu) {
  int32_t id = 0;  // 0: the calling thread
  while (thread > 0 && (id = __atomic_load_n(&workers_[thread - 1].id, __ATOMIC_ACQUIRE)) == 0)
    sched_yield();
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(id, sizeof set, &set) != 0) {
    return Fail(PTQ_INVALID_ARGUMENT, "cannot keep thread %zu on CPU %d: %s", thread, cpu,
                strerror(errno));
  }
  return PTQ_OK;
}

void ThreadPool::TakeChunks(size_t thread) {
  for (;;) {
    const size_t begin = next_.fetch_add(chunk_, std::memory_order_relaxed);
    if (begin >= count_) return;
    body_(argument_, begin, Min(begin + chunk_, count_), thread);
  }
}

// The generation after `seen`.
uint64_t ThreadPool::WaitForJob(uint64_t seen) {
  for (uint32_t i = spins_.load(std::memory_order_relaxed); i > 0; --i) {
    const uint64_t generation = generation_.load(std::memory_order_acquire);
    if (generation != seen) return generation;
    Pause();
  }
  // Run looks at sleepers_ after it has changed generation_, this looks the other way round: at
  // least one of the two sees the other. They are written by read-modify-writes, never plain
  // stores: an emulator (QEMU) may let a load pass an earlier store-release, which Armv8 does not.
  pthread_mutex_lock(&mutex_);
  sleepers_.fetch_add(1);
  uint64_t generation;
  while ((generation = generation_.load()) == seen) pthread_cond_wait(&wake_, &mutex_);
  sleepers_.fetch_sub(1);
  pthread_mutex_unlock(&mutex_);
  return generation;
}

void* ThreadPool::WorkerMain(void* argument) {
  Worker* worker = static_cast<Worker*>(argument);
  ThreadPool* pool = worker->pool;
  __atomic_store_n(&worker->id, static_cast<int32_t>(syscall(SYS_gettid)), __ATOMIC_RELEASE);
  for (uint64_t seen = 0;;) {
    seen = pool->WaitForJob(seen);
    if (pool->stop_.load(std::memory_order_relaxed)) return nullptr;
    if (worker->index >= (seen & kThreadMask)) continue;
    // Run waits for this worker: the job's fields do not change before it has reported.
    pool->TakeChunks(worker->index);
    if (pool->pending_.fetch_sub(1) == 1 && pool->caller_sleeps_.load()) {
      pthread_mutex_lock(&pool->mutex_);
      pthread_cond_signal(&pool->done_);
      pthread_mutex_unlock(&pool->mutex_);
    }
  }
}

void ThreadPool::WaitForWorkers() {
  for (uint32_t i = spins_.load(std::memory_order_relaxed); i > 0; --i) {
    if (pending_.load(std::memory_order_acquire) == 0) return;
    Pause();
  }
  pthread_mutex_lock(&mutex_);
  caller_sleeps_.exchange(true);  // as sleepers_ and generation_ in WaitForJob
  while (pending_.load() != 0) pthread_cond_wait(&done_, &mutex_);
  caller_sleeps_.store(false);
  pthread_mutex_unlock(&mutex_);
}

void ThreadPool::Run(size_t count, size_t grain, Body body, void* argument) {
  const size_t threads = Min(thread_count(), Max<size_t>(count / Max<size_t>(grain, 1), 1));
  if (threads == 1) {
    if (count > 0) body(argument, 0, count, 0);
    return;
  }
  count_ = count;
  chunk_ = Max<size_t>(grain, CeilDiv(count, threads * kChunksPerThread));
  body_ = body;
  argument_ = argument;
  next_.store(0, std::memory_order_relaxed);
  pending_.store(threads - 1, std::memory_order_relaxed);
  generation_.exchange((((generation_.load() >> kThreadBits) + 1) << kThreadBits) | threads);
  if (sleepers_.load() != 0) {
    pthread_mutex_lock(&mutex_);
    pthread_cond_broadcast(&wake_);
    pthread_mutex_unlock(&mutex_);
  }
  TakeChunks(0);
  WaitForWorkers();
}

}  // namespace ptq
