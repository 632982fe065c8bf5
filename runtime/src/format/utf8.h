// UTF-8 validation: names go into messages and JSON, which must stay well-formed.
#ifndef PTQ_FORMAT_UTF8_H_
#define PTQ_FORMAT_UTF8_H_

#include <stddef.h>
#include <stdint.h>

namespace ptq {

// Position of the first byte that is not part of a well-formed sequence (Unicode 15, table 3-7), or
// `size`.
inline size_t FindInvalidUtf8(const uint8_t* text, size_t size) {
  size_t i = 0;
  while (i < size) {
    const uint8_t lead = text[i];
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (length == 0 || length > size - i) return i;
    // Only the second byte's range depends on the lead: no overlong forms, surrogates, or values
    // above U+10FFFF.
    const uint8_t lo = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t hi = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (text[i + 1] < lo || text[i + 1] > hi) return i;
    for (size_t j = 2; j < length; ++j) {
      if ((text[i + j] & 0xC0) != 0x80) return i;
    }
    i += length;
  }
  return size;
}

}  // namespace ptq

#endif  // PTQ_FORMAT_UTF8_H_
