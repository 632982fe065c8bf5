// The list of copy kernels.
#include "base/cpu_features.h"
#include "kernels/copy/contract.h"

namespace ptq {

const CopyKernel kCopyKernels[] = {
    {"copy_x8_x16__scalar", kCpuScalar, copy_rows_x8_x16__scalar, copy_indexed_x8_x16__scalar,
     copy_strided_x8_x16__scalar, copy_interleaved_x8_x16__scalar},
};
const size_t kCopyKernelCount = sizeof kCopyKernels / sizeof kCopyKernels[0];

}  // namespace ptq
