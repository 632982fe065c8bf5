// What an operator is made of. Each operator has one file here with Prepare (validate shapes, types
// and attributes, choose a kernel, pack weights) and Run (which may not allocate, and fails only
// for values that were computed).
#ifndef PTQ_OPS_OP_H_
#define PTQ_OPS_OP_H_

#include <string.h>

#include <atomic>

#include "base/array.h"
#include "base/cpu_features.h"
#include "base/math.h"
#include "base/object.h"
#include "base/packings.h"
#include "base/pool.h"
#include "format/flat_file.h"
#include "program/thread_pool.h"

namespace ptq {

struct RunContext {
  uint8_t* arena;
  uint8_t* scratch;    // one piece for all threads, as large as any operator asked for
  uint8_t* workspace;  // workspace_stride bytes per thread
  size_t workspace_stride;
  ThreadPool* pool;
  std::atomic<bool>* failed;

  // An operand has a value that the operator does not take: its `failure` says which.
  void Fail() const { failed->store(true, std::memory_order_relaxed); }

  uint8_t* Workspace(size_t thread) const { return workspace + thread * workspace_stride; }
};

// Packed weights, in the order in which they are read.
struct Weights {
  const void* data;
  size_t bytes;
};

struct PreparedOp {
  const Operator* op;
  const Tensor* tensors;
  Pool* pool;                     // for packed weights; lives as long as the operator
  Packings* packings;             // which of them another operator may share
  const char* kernel;             // name of the chosen kernel
  const char* failure;            // what is wrong where a run fails, of operators that can
  uint64_t workspace_per_thread;  // bytes; ptq_program checks the sum
  uint64_t scratch;               // bytes of the context's scratch that a run uses
  Steps steps;                    // elementary ones of one run, beside reading and writing
  uint64_t macs;                  // multiply-accumulates of one run, 0 where that says nothing
  Weights weights, next_weights;  // its own, and those of the next operator that has any
  void (*run)(const PreparedOp&, const RunContext&);
  void* state;  // of the operator's own type
  void (*destroy_state)(void*);

  // Null where an optional input is absent.
  const Tensor* Input(uint32_t i) const {
    return i < op->input_count && op->inputs[i] != kNone ? &tensors[op->inputs[i]] : nullptr;
  }
  const Tensor& Output() const { return tensors[op->outputs[0]]; }

  template <typename Attrs>
  Attrs GetAttrs() const {
    Attrs attrs;
    memcpy(&attrs, op->attrs, sizeof attrs);
    return attrs;
  }

  // A piece of each thread's workspace: its offset.
  size_t TakeWorkspace(uint64_t bytes) {
    const uint64_t offset = RoundUp(workspace_per_thread, kAlignment);
    workspace_per_thread = offset + bytes;
    return static_cast<size_t>(offset);
  }

  // Gives the operator a state of type T, destroyed with the program. Null: out of memory.
  template <typename T>
  T* MakeState() {
    T* made = New<T>();
    state = made;
    destroy_state = [](void* object) { Delete(static_cast<T*>(object)); };
    return made;
  }

  template <typename T>
  T* MutableState() {
    return static_cast<T*>(state);
  }

  template <typename T>
  const T& State() const {
    return *static_cast<const T*>(state);
  }
};

template <typename T>
const T* ReadData(const Tensor& tensor, const RunContext& run) {
  return static_cast<const T*>(tensor.storage == kConstant ? tensor.data
                                                           : run.arena + tensor.offset);
}

template <typename T>
T* WriteData(const Tensor& tensor, const RunContext& run) {
  return reinterpret_cast<T*>(run.arena + tensor.offset);
}

inline ptq_status OutOfMemory() {
  return Fail(PTQ_OUT_OF_MEMORY, "cannot allocate the operator's state");
}

}  // namespace ptq

#endif  // PTQ_OPS_OP_H_
