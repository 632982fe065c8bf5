// A flat file, checked and decoded: everything that the rest of the runtime reads of a file comes
// from here, and nothing comes from here that was not checked against docs/flat_format.md.
#ifndef PTQ_FORMAT_FLAT_FILE_H_
#define PTQ_FORMAT_FLAT_FILE_H_

#include "base/array.h"
#include "base/steps.h"
#include "format/layout.h"
#include "format/op_kinds.h"

namespace ptq {

struct Tensor {
  const char* name;
  DType dtype;
  Storage storage;
  uint32_t rank;
  uint32_t dims[kMaxRank];  // 1 beyond rank
  uint64_t elements;
  uint64_t size;        // bytes
  uint64_t offset;      // in the arena; meaningless for constants
  const void* data;     // constants only
  const float* scales;  // null: not quantized
  uint32_t scale_count;
  int32_t zero_point;
  int32_t axis;  // dimension that scale_count counts, -1 for one scale
};

struct Operator {
  const OpKind* kind;
  const char* name;
  const uint32_t* inputs;  // tensor indices, kNone where absent
  const uint32_t* outputs;
  uint32_t input_count;
  uint32_t output_count;
  const void* attrs;  // kind->attr_size bytes, 4-byte aligned
};

// The pointers inside point into the file's bytes, which must outlive it.
struct FlatFile {
  FileHeader header;
  Array<float> scales;
  Array<uint32_t> indices;
  Array<uint32_t> inputs, outputs;
  Array<Tensor> tensors;
  Array<Operator> operators;
  uint64_t arena_size;

  bool HoldsF16() const {
    for (const Tensor& tensor : tensors) {
      if (tensor.dtype == kF16) return true;
    }
    return false;
  }
};

size_t ElementSize(DType dtype);
const char* DTypeName(uint8_t dtype);

// Limits that keep a small file from asking for much (docs/flat_format.md, "Limits").
constexpr uint64_t kMaxElements = 0x7FFFFFFF;  // of a tensor
constexpr uint32_t kMaxEntries = 65536;        // of TENS and of OPRS
constexpr uint64_t kMaxWork = uint64_t{1} << 42;

// What the operators of a file, and the memory to load it, are measured by.
inline uint64_t MemoryLimit(uint64_t file_size, uint64_t arena_size) {
  return 4 * (file_size + arena_size) + (uint64_t{16} << 20);
}

// What `op` reads and writes in one run: the steps that every operator takes.
Steps ElementSteps(const FlatFile& file, const Operator& op);

// `data` is 64-byte aligned.
ptq_status ParseFlatFile(const uint8_t* data, size_t size, FlatFile* file);

// --- Steps of ParseFlatFile, in order; each relies on what the ones before it ensured. ---

enum SectionId {
  kStrs,
  kQprm,
  kScal,
  kTens,
  kOprs,
  kIndx,
  kAttr,
  kInpt,
  kOutp,
  kPlan,
  kWgts,
  kMeta,
  kSectionIdCount
};

struct Section {
  const uint8_t* data;
  size_t size;
  uint32_t count;
  uint32_t entry_size;
};

// Header and section table: offsets, sizes, overlaps, checksum.
ptq_status ReadSections(const uint8_t* data, size_t size, Section sections[kSectionIdCount]);
// SCAL, QPRM, STRS, TENS against WGTS and PLAN.
ptq_status ReadTensors(const Section* sections, FlatFile* file);
// INDX, OPRS, ATTR, INPT, OUTP: arity, references.
ptq_status ReadOperators(const Section* sections, FlatFile* file);
// Every arena tensor is written once and before it is read; no two live tensors share a byte.
ptq_status CheckMemoryPlan(const FlatFile& file);

// String at `offset` of STRS, or null if there is none.
const char* FindString(const Section& strings, uint32_t offset);

}  // namespace ptq

#endif  // PTQ_FORMAT_FLAT_FILE_H_
