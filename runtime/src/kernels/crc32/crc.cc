// CRC-32 by the Arm instructions for it (optional in Armv8.0, present in every Cortex-A53 and
// later).
#include <arm_acle.h>
#include <string.h>

#include "kernels/crc32/contract.h"

namespace ptq {

uint32_t crc32_x8__crc(uint32_t state, const uint8_t* data, size_t size) {
  for (; size >= 8; data += 8, size -= 8) {
    uint64_t eight;
    memcpy(&eight, data, sizeof eight);
    state = __crc32d(state, eight);
  }
  for (; size > 0; ++data, --size) state = __crc32b(state, *data);
  return state;
}

}  // namespace ptq
