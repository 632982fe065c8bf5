// Any bytes: loading gives a program or an error with a message, reads nothing outside of the
// bytes, and takes no more memory than the format allows. Tried as they are, and with the header's
// size and checksum repaired; in place, and misaligned.
#include "ptq/ptq.h"
#include "test/fuzz/harness.h"

namespace {

void LookAt(const ptq_program* program) {
  ptq_tensor_info tensor;
  ptq_op_info op;
  for (size_t i = 0; ptq_program_input_info(program, i, &tensor) == PTQ_OK; ++i) {
    if (tensor.rank < 0 || tensor.rank > 8 || tensor.size_bytes > ptq_program_arena_bytes(program))
      ptq_fuzz::Broken("an input does not fit the arena");
  }
  for (size_t i = 0; ptq_program_output_info(program, i, &tensor) == PTQ_OK; ++i) {
    if (tensor.name == nullptr) ptq_fuzz::Broken("an output without a name");
  }
  for (size_t i = 0; ptq_program_op_info(program, i, &op) == PTQ_OK; ++i) {
    if (op.kernel == nullptr || op.kind == nullptr)
      ptq_fuzz::Broken("an operator without a kernel");
  }
}

void Load(const uint8_t* data, size_t size, size_t shift, bool repaired) {
  ptq_fuzz::Bytes file(data, size, shift);
  if (repaired) file.Repair();
  ptq_fuzz::MemoryLimit limit(ptq_fuzz::AllowedMemory(file.data(), size));
  ptq_program* program = nullptr;
  const ptq_status status = ptq_program_from_memory(file.data(), size, &program);
  if (status == PTQ_OK) {
    LookAt(program);
  } else if (program != nullptr || ptq_last_error()[0] == '\0' || status == PTQ_INVALID_ARGUMENT ||
             status == PTQ_IO_ERROR) {
    ptq_fuzz::Broken("a refusal without a message, or with the wrong status");
  }
  ptq_program_destroy(program);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Load(data, size, 0, false);
  Load(data, size, 0, true);
  Load(data, size, 1, true);
  return 0;
}
