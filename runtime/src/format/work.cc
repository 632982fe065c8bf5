// How long a run may take, from shapes alone: the elements that an operator reads and writes.
#include "format/flat_file.h"

namespace ptq {

Steps ElementSteps(const FlatFile& file, const Operator& op) {
  Steps steps = {file.tensors[op.outputs[0]].elements};
  for (uint32_t i = 0; i < op.input_count; ++i) {
    if (op.inputs[i] != kNone) steps = steps + Steps{file.tensors[op.inputs[i]].elements};
  }
  return steps;
}

}  // namespace ptq
