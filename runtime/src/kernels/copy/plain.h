// Copies in words of constant size, which compilers turn into register moves: rows are too short
// for a call of memcpy to pay. Included once per instruction set.
#ifndef PTQ_KERNELS_COPY_PLAIN_H_
#define PTQ_KERNELS_COPY_PLAIN_H_

#include <string.h>

#include "base/math.h"
#include "kernels/copy/contract.h"

namespace ptq {
namespace {

constexpr size_t kWord = 16;
constexpr size_t kLongRow = 1024;  // from here on the C library's copy is as fast

// The last word overlaps the one before it, so that no byte is copied alone.
template <size_t kSize>
PTQ_INLINE void CopyWords(const uint8_t* x, uint8_t* y, size_t bytes) {
  for (size_t i = 0; i + kSize < bytes; i += kSize) memcpy(y + i, x + i, kSize);
  memcpy(y + bytes - kSize, x + bytes - kSize, kSize);
}

PTQ_INLINE void CopyRun(const uint8_t* x, uint8_t* y, size_t bytes) {
  if (bytes >= kLongRow) {
    memcpy(y, x, bytes);
  } else if (bytes >= kWord) {
    CopyWords<kWord>(x, y, bytes);
  } else if (bytes >= 8) {
    CopyWords<8>(x, y, bytes);
  } else if (bytes >= 4) {
    CopyWords<4>(x, y, bytes);
  } else {
    for (size_t i = 0; i < bytes; ++i) y[i] = x[i];
  }
}

PTQ_INLINE void CopyRows(const RowCopy& copy) {
  const uint8_t* x = copy.x;
  uint8_t* y = copy.y;
  for (size_t row = 0; row < copy.rows; ++row, x += copy.x_stride, y += copy.y_stride)
    CopyRun(x, y, copy.row_bytes);
}

template <size_t kSize>
PTQ_INLINE void CopyItems(const IndexedCopy& copy) {
  for (size_t i = 0; i < copy.count; ++i)
    memcpy(copy.y + i * kSize, copy.x + copy.indices[i] * kSize, kSize);
}

PTQ_INLINE void CopyIndexed(const IndexedCopy& copy) {
  if (copy.item_bytes == 1) return CopyItems<1>(copy);
  if (copy.item_bytes == 4) return CopyItems<4>(copy);
  for (size_t i = 0; i < copy.count; ++i) {
    CopyRun(copy.x + copy.indices[i] * copy.item_bytes, copy.y + i * copy.item_bytes,
            copy.item_bytes);
  }
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_COPY_PLAIN_H_
