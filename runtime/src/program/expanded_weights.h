// Weights that the file stores in fewer bits than the operator computes in.
#ifndef PTQ_PROGRAM_EXPANDED_WEIGHTS_H_
#define PTQ_PROGRAM_EXPANDED_WEIGHTS_H_

#include "base/array.h"
#include "format/flat_file.h"

namespace ptq {

// For a float operator whose weights are i8 or i16: f32 weights, scale * q rounded once, in their
// place in the file's tensors as long as this lives. Operators pack their weights when they are
// prepared, so that is long enough.
class ExpandedWeights {
 public:
  ExpandedWeights() = default;
  ExpandedWeights(const ExpandedWeights&) = delete;
  ExpandedWeights& operator=(const ExpandedWeights&) = delete;
  ~ExpandedWeights();

  // Does nothing for other operators.
  ptq_status Expand(const Operator& op, FlatFile* file);

 private:
  Tensor* place_ = nullptr;
  Tensor stored_;
  Array<float> values_;
};

// Bytes of all weights that a program needs expanded, at most 4 for each of its file.
uint64_t ExpandedBytes(const FlatFile& file, uint64_t file_size);

}  // namespace ptq

#endif  // PTQ_PROGRAM_EXPANDED_WEIGHTS_H_
