// Portable copy kernels.
#include "kernels/copy/plain.h"

namespace ptq {

void copy_x8_x16__scalar(const RowCopy& copy) { CopyRows(copy); }

void copy_x8_x16__scalar(const IndexedCopy& copy) { CopyIndexed(copy); }

void copy_x8_x16__scalar(const StridedCopy& copy) { CopyStrided(copy); }

void copy_x8_x16__scalar(const InterleavedCopy& copy) { CopyInterleaved(copy); }

}  // namespace ptq
