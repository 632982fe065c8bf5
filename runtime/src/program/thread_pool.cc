// Thread pool on plain pthreads: workers sleep on a condition variable between jobs.
#include "program/thread_pool.h"

#include <string.h>

#include "base/math.h"

namespace ptq {

ThreadPool::~ThreadPool() {
  if (!synchronised_) return;
  pthread_mutex_lock(&mutex_);
  stop_ = true;
  pthread_cond_broadcast(&wake_);
  pthread_mutex_unlock(&mutex_);
  for (size_t i = 0; i < started_; ++i) pthread_join(workers_[i].thread, nullptr);
  pthread_cond_destroy(&done_);
  pthread_cond_destroy(&wake_);
  pthread_mutex_destroy(&mutex_);
}

ptq_status ThreadPool::Start(size_t threads) {
  if (threads <= 1) return PTQ_OK;
  PTQ_RETURN_IF_ERROR(workers_.Allocate(threads - 1));
  if (pthread_mutex_init(&mutex_, nullptr) != 0)
    return Fail(PTQ_OUT_OF_MEMORY, "cannot create a mutex");
  if (pthread_cond_init(&wake_, nullptr) != 0 || pthread_cond_init(&done_, nullptr) != 0) {
    return Fail(PTQ_OUT_OF_MEMORY, "cannot create a condition variable");
  }
  synchronised_ = true;
  for (size_t i = 0; i < workers_.size(); ++i) {
    workers_[i].pool = this;
    workers_[i].index = i + 1;
    const int error = pthread_create(&workers_[i].thread, nullptr, &WorkerMain, &workers_[i]);
    if (error != 0) {
      return Fail(PTQ_OUT_OF_MEMORY, "cannot start thread %zu of %zu: %s", i + 2, threads,
                  strerror(error));
    }
    ++started_;
  }
  return PTQ_OK;
}

void ThreadPool::RunPiece(size_t index) {
  const size_t begin = count_ * index / pieces_, end = count_ * (index + 1) / pieces_;
  if (begin < end) body_(argument_, begin, end, index);
}

void* ThreadPool::WorkerMain(void* argument) {
  Worker* worker = static_cast<Worker*>(argument);
  ThreadPool* pool = worker->pool;
  uint64_t seen = 0;
  pthread_mutex_lock(&pool->mutex_);
  for (;;) {
    while (!pool->stop_ && pool->generation_ == seen)
      pthread_cond_wait(&pool->wake_, &pool->mutex_);
    if (pool->stop_) break;
    seen = pool->generation_;
    const bool has_piece = worker->index < pool->pieces_;
    pthread_mutex_unlock(&pool->mutex_);
    // The job's fields do not change before every worker has reported: reading them unlocked is
    // safe.
    if (has_piece) pool->RunPiece(worker->index);
    pthread_mutex_lock(&pool->mutex_);
    if (--pool->pending_ == 0) pthread_cond_signal(&pool->done_);
  }
  pthread_mutex_unlock(&pool->mutex_);
  return nullptr;
}

void ThreadPool::Run(size_t count, size_t grain, Body body, void* argument) {
  const size_t pieces = Min(thread_count(), Max<size_t>(count / Max<size_t>(grain, 1), 1));
  if (pieces == 1) {
    if (count > 0) body(argument, 0, count, 0);
    return;
  }
  pthread_mutex_lock(&mutex_);
  count_ = count;
  pieces_ = pieces;
  body_ = body;
  argument_ = argument;
  pending_ = workers_.size();
  ++generation_;
  pthread_cond_broadcast(&wake_);
  pthread_mutex_unlock(&mutex_);
  RunPiece(0);
  pthread_mutex_lock(&mutex_);
  while (pending_ != 0) pthread_cond_wait(&done_, &mutex_);
  pthread_mutex_unlock(&mutex_);
}

}  // namespace ptq
