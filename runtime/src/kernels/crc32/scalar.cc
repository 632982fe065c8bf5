// CRC-32, eight bytes a step by tables ("slicing by 8": Kounavis and Berry, IEEE ISCC 2005).
#include <string.h>

#include "kernels/crc32/contract.h"

namespace ptq {
namespace {

constexpr uint32_t kPolynomial = 0xEDB88320;

struct Tables {
  uint32_t t[8][256];
};

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? kPolynomial : 0);
    tables.t[0][i] = crc;
  }
  for (uint32_t i = 0; i < 256; ++i) {
    for (int k = 1; k < 8; ++k) {
      const uint32_t previous = tables.t[k - 1][i];
      tables.t[k][i] = (previous >> 8) ^ tables.t[0][previous & 0xFF];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

}  // namespace

uint32_t crc32_x8__scalar(uint32_t state, const uint8_t* data, size_t size) {
  const auto& t = kTables.t;
  for (; size >= 8; size -= 8, data += 8) {
    uint32_t a, b;
    memcpy(&a, data, 4);
    memcpy(&b, data + 4, 4);
    a ^= state;
    state = t[7][a & 0xFF] ^ t[6][(a >> 8) & 0xFF] ^ t[5][(a >> 16) & 0xFF] ^ t[4][a >> 24] ^
            t[3][b & 0xFF] ^ t[2][(b >> 8) & 0xFF] ^ t[1][(b >> 16) & 0xFF] ^ t[0][b >> 24];
  }
  for (; size > 0; --size, ++data) state = (state >> 8) ^ t[0][(state ^ *data) & 0xFF];
  return state;
}

}  // namespace ptq
