// CRC-32 (zlib's, polynomial 0xEDB88320, reflected) of a flat file: it covers the weights, so its
// speed is part of the load time.
#ifndef PTQ_KERNELS_CRC32_CONTRACT_H_
#define PTQ_KERNELS_CRC32_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_list.h"

namespace ptq {

struct Crc32Kernel {
  const char* name;
  uint32_t requires_features;
  // The register after `size` more bytes, without the inversions at the begin and the end.
  uint32_t (*run)(uint32_t state, const uint8_t* data, size_t size);
};

#define PTQ_ROWS "kernels/crc32/kernels.inc"
#include "kernels/declare.inc"

}  // namespace ptq

#endif  // PTQ_KERNELS_CRC32_CONTRACT_H_
