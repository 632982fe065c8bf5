// CRC-32 as zlib computes it (polynomial 0xEDB88320, reflected).
#ifndef PTQ_FORMAT_CRC32_H_
#define PTQ_FORMAT_CRC32_H_

#include <stddef.h>
#include <stdint.h>

namespace ptq {

// `crc` continues an earlier value; 0 starts.
uint32_t Crc32(uint32_t crc, const void* data, size_t size);

}  // namespace ptq

#endif  // PTQ_FORMAT_CRC32_H_
