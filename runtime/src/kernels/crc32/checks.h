// What callers of CRC-32 kernels promise (contract.h), as checks.
#ifndef PTQ_KERNELS_CRC32_CHECKS_H_
#define PTQ_KERNELS_CRC32_CHECKS_H_

#include "kernels/checked.h"
#include "kernels/crc32/contract.h"

namespace ptq {

inline void CheckCall(const Crc32Kernel& kernel, uint32_t, const uint8_t* data, size_t size) {
  PTQ_REQUIRE(IsValid(data, size));
}

}  // namespace ptq

#endif  // PTQ_KERNELS_CRC32_CHECKS_H_
