// The C API of ptq/ptq.h on top of program and context.
#include <stdlib.h>

#include "base/cpu_features.h"
#include "base/object.h"
#include "program/context.h"
#include "ptq/ptq.h"

namespace {

constexpr int32_t kMaxThreads = 64;

template <typename Load>
ptq_status LoadProgram(ptq_program** out, Load load) {
  ptq::ClearLastError();
  if (out == nullptr) return ptq::Fail(PTQ_INVALID_ARGUMENT, "out: null pointer");
  uint32_t features = 0;
  PTQ_RETURN_IF_ERROR(
      ptq::ResolveCpuFeatures(getenv("PTQ_CPU"), ptq::DetectCpuFeatures(), &features));
  ptq_program* program = ptq::New<ptq_program>();
  if (program == nullptr) return ptq::Fail(PTQ_OUT_OF_MEMORY, "cannot allocate a program");
  const ptq_status status = load(program, features);
  if (status != PTQ_OK) {
    ptq::Delete(program);
    return status;
  }
  *out = program;
  return PTQ_OK;
}

ptq_status GetTensorInfo(const ptq_program* program, bool input, size_t index,
                         ptq_tensor_info* out) {
  ptq::ClearLastError();
  if (program == nullptr || out == nullptr)
    return ptq::Fail(PTQ_INVALID_ARGUMENT, "program or out: null pointer");
  const ptq::Array<uint32_t>& list = input ? program->file.inputs : program->file.outputs;
  if (index >= list.size()) {
    return ptq::Fail(PTQ_INVALID_ARGUMENT, "index: %zu, but the program has %zu %s", index,
                     list.size(), input ? "inputs" : "outputs");
  }
  *out = ptq::TensorInfo(program->file.tensors[list[index]]);
  return PTQ_OK;
}

}  // namespace

extern "C" {

const char* ptq_version(void) { return "0.2.0"; }

int32_t ptq_api_version(void) { return PTQ_API_VERSION; }

const char* ptq_last_error(void) { return ptq::LastError(); }

const char* ptq_cpu_features(void) {
  static thread_local char text[96];
  uint32_t features = 0;
  const uint32_t detected = ptq::DetectCpuFeatures();
  if (ptq::ResolveCpuFeatures(getenv("PTQ_CPU"), detected, &features) != PTQ_OK)
    features = detected;
  ptq::FormatCpuFeatures(features, text, sizeof text);
  return text;
}

ptq_status ptq_program_load(const char* path, ptq_program** out) {
  return LoadProgram(out, [path](ptq_program* program, uint32_t features) {
    if (path == nullptr) return ptq::Fail(PTQ_INVALID_ARGUMENT, "path: null pointer");
    return program->LoadFile(path, features);
  });
}

ptq_status ptq_program_from_memory(const void* data, size_t size, ptq_program** out) {
  return LoadProgram(out, [data, size](ptq_program* program, uint32_t features) {
    if (data == nullptr) return ptq::Fail(PTQ_INVALID_ARGUMENT, "data: null pointer");
    return program->LoadMemory(data, size, features);
  });
}

void ptq_program_destroy(ptq_program* program) { ptq::Delete(program); }

size_t ptq_program_arena_bytes(const ptq_program* program) {
  return program == nullptr ? 0 : static_cast<size_t>(program->file.arena_size);
}

uint64_t ptq_program_work(const ptq_program* program) {
  return program == nullptr ? 0 : program->work;
}

size_t ptq_program_input_count(const ptq_program* program) {
  return program == nullptr ? 0 : program->file.inputs.size();
}

size_t ptq_program_output_count(const ptq_program* program) {
  return program == nullptr ? 0 : program->file.outputs.size();
}

size_t ptq_program_op_count(const ptq_program* program) {
  return program == nullptr ? 0 : program->ops.size();
}

ptq_status ptq_program_input_info(const ptq_program* program, size_t index, ptq_tensor_info* out) {
  return GetTensorInfo(program, true, index, out);
}

ptq_status ptq_program_output_info(const ptq_program* program, size_t index, ptq_tensor_info* out) {
  return GetTensorInfo(program, false, index, out);
}

ptq_status ptq_program_op_info(const ptq_program* program, size_t index, ptq_op_info* out) {
  ptq::ClearLastError();
  if (program == nullptr || out == nullptr)
    return ptq::Fail(PTQ_INVALID_ARGUMENT, "program or out: null pointer");
  if (index >= program->ops.size()) {
    return ptq::Fail(PTQ_INVALID_ARGUMENT, "index: %zu, but the program has %zu operators", index,
                     program->ops.size());
  }
  const ptq::PreparedOp& op = program->ops[index];
  *out = {op.op->name,        op.op->kind->name,   op.kernel,
          op.op->input_count, op.op->output_count, op.macs};
  return PTQ_OK;
}

ptq_status ptq_context_create(const ptq_program* program, int32_t threads, ptq_context** out) {
  ptq::ClearLastError();
  if (program == nullptr || out == nullptr)
    return ptq::Fail(PTQ_INVALID_ARGUMENT, "program or out: null pointer");
  if (threads < 1 || threads > kMaxThreads) {
    return ptq::Fail(PTQ_INVALID_ARGUMENT, "threads: %d is not in 1 ... %d",
                     static_cast<int>(threads), static_cast<int>(kMaxThreads));
  }
  ptq_context* context = ptq::New<ptq_context>();
  if (context == nullptr) return ptq::Fail(PTQ_OUT_OF_MEMORY, "cannot allocate a context");
  const ptq_status status = context->Create(program, static_cast<size_t>(threads));
  if (status != PTQ_OK) {
    ptq::Delete(context);
    return status;
  }
  *out = context;
  return PTQ_OK;
}

ptq_status ptq_context_pin_threads(ptq_context* context, const int32_t* cpus, size_t count) {
  ptq::ClearLastError();
  if (context == nullptr || cpus == nullptr || count == 0) {
    return ptq::Fail(PTQ_INVALID_ARGUMENT, "%s",
                     context == nullptr ? "context: null pointer" : "cpus: no CPU given");
  }
  return context->pool.Pin(cpus, count);
}

void ptq_context_destroy(ptq_context* context) { ptq::Delete(context); }

void* ptq_context_input(ptq_context* context, size_t index) {
  if (context == nullptr || index >= context->program->file.inputs.size()) return nullptr;
  return context->TensorData(context->program->file.tensors[context->program->file.inputs[index]]);
}

const void* ptq_context_output(const ptq_context* context, size_t index) {
  if (context == nullptr || index >= context->program->file.outputs.size()) return nullptr;
  return context->TensorData(context->program->file.tensors[context->program->file.outputs[index]]);
}

void ptq_context_set_observer(ptq_context* context, ptq_observer observer, void* user) {
  if (context == nullptr) return;
  context->observer = observer;
  context->observer_user = user;
}

ptq_status ptq_run(ptq_context* context) {
  ptq::ClearLastError();
  if (context == nullptr) return ptq::Fail(PTQ_INVALID_ARGUMENT, "context: null pointer");
  PTQ_RETURN_IF_ERROR(context->pool.ReviveAfterFork());
  return context->Run();
}

}  // extern "C"
