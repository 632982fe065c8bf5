// A flat file as text for people.
#ifndef PTQ_TOOLS_DUMP_H_
#define PTQ_TOOLS_DUMP_H_

#include <stdio.h>

#include "format/flat_file.h"

namespace ptq {

// Prints header, inputs and outputs, operators, tensors: byte for byte what
// ptq_core/flatfile/dump.py makes of the same file. `data` was parsed into `file`.
ptq_status DumpFile(const uint8_t* data, size_t size, const FlatFile& file, FILE* out);

}  // namespace ptq

#endif  // PTQ_TOOLS_DUMP_H_
