// A loaded program: the checked file and its operators, prepared once for this CPU. Immutable after
// Load, shared by contexts.
#ifndef PTQ_PROGRAM_PROGRAM_H_
#define PTQ_PROGRAM_PROGRAM_H_

#include "base/array.h"
#include "format/flat_file.h"
#include "format/mapped_file.h"
#include "ops/op.h"

struct ptq_program {
  ptq_program() = default;
  ptq_program(const ptq_program&) = delete;
  ptq_program& operator=(const ptq_program&) = delete;
  ~ptq_program();

  // Call one of the two, once. `features`: the instruction sets that kernels may use.
  ptq_status LoadFile(const char* path, uint32_t features);
  ptq_status LoadMemory(const void* data, size_t size, uint32_t features);

  ptq::MappedFile mapped;
  ptq::Array<uint8_t> copy;
  ptq::FlatFile file;
  ptq::Pool pool;  // packed weights, in the order of the operators
  ptq::Packings packings;
  ptq::Array<ptq::PreparedOp> ops;
  uint64_t work = 0;                // elementary steps of a run
  size_t workspace_per_thread = 0;  // bytes, a multiple of 64: the most that any operator needs
  size_t scratch = 0;               // likewise, one for all threads

 private:
  ptq_status Load(const uint8_t* data, size_t size, uint32_t features);
  ptq_status PrepareOperator(size_t index, size_t file_size, uint32_t features);
};

namespace ptq {

ptq_tensor_info TensorInfo(const Tensor& tensor);

}  // namespace ptq

#endif  // PTQ_PROGRAM_PROGRAM_H_
