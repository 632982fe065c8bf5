// CRC-32 (zlib's, polynomial 0xEDB88320, reflected) of a flat file: it covers the weights, so its
// speed is part of the load time.
#ifndef PTQ_KERNELS_CRC32_CONTRACT_H_
#define PTQ_KERNELS_CRC32_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

namespace ptq {

struct Crc32Kernel {
  const char* name;
  uint32_t requires_features;
  // The register after `size` more bytes, without the inversions at the begin and the end.
  uint32_t (*run)(uint32_t state, const uint8_t* data, size_t size);
};

// Best first; the last one runs everywhere.
extern const Crc32Kernel kCrc32Kernels[];
extern const size_t kCrc32KernelCount;

uint32_t crc32_x8__scalar(uint32_t state, const uint8_t* data, size_t size);
uint32_t crc32_x64__pclmul(uint32_t state, const uint8_t* data, size_t size);
uint32_t crc32_x8__crc(uint32_t state, const uint8_t* data, size_t size);

}  // namespace ptq

#endif  // PTQ_KERNELS_CRC32_CONTRACT_H_
