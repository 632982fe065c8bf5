// CRC-32 with the best kernel of this CPU: all of them compute the same, so no level is asked for.
#include "format/crc32.h"

#include "base/cpu_features.h"
#include "kernels/crc32/contract.h"

namespace ptq {

uint32_t Crc32(uint32_t crc, const void* data, size_t size) {
  const Crc32Kernel* kernel = SelectKernel(kCrc32Kernels, DetectCpuFeatures());
  return ~kernel->run(~crc, static_cast<const uint8_t*>(data), size);
}

}  // namespace ptq
