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

constexpr size_t kBlock = 16;

// Calls block(begin) for blocks of kBlock elements that cover `count`, the last one overlapping the
// one before it; false if there are too few. With a constant number of elements compilers turn the
// loop of a block into shuffles.
template <typename F>
PTQ_INLINE bool ForBlocks(size_t count, F block) {
  if (count < kBlock) return false;
  for (size_t i = 0; i + kBlock < count; i += kBlock) block(i);
  block(count - kBlock);
  return true;
}

template <typename T>
PTQ_INLINE void CopySteps(const T* x, ptrdiff_t step, T* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = x[static_cast<ptrdiff_t>(i) * step];
}

// Every other element. A block is read before it is written, whatever x and y are.
template <typename T>
PTQ_INLINE void CopyEveryOther(const T* x, T* y, size_t count) {
  const auto block = [&](size_t begin) __attribute__((always_inline)) {
    T values[kBlock];
    CopySteps(x + 2 * begin, 2, values, kBlock);
    memcpy(y + begin, values, sizeof values);
  };
  if (!ForBlocks(count, block)) CopySteps(x, 2, y, count);
}

template <typename T>
PTQ_INLINE void Interleave(const T* first, const T* second, T* y, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    y[2 * i] = first[i];
    y[2 * i + 1] = second[i];
  }
}

template <typename T>
PTQ_INLINE void CopyStridedOf(const StridedCopy& copy) {
  const T* x = static_cast<const T*>(copy.x);
  T* y = static_cast<T*>(copy.y);
  for (size_t row = 0; row < copy.rows; ++row, x += copy.x_stride, y += copy.count) {
    if (copy.x_step == 2) {
      CopyEveryOther(x, y, copy.count);
    } else {
      CopySteps(x, copy.x_step, y, copy.count);
    }
  }
}

PTQ_INLINE void CopyStrided(const StridedCopy& copy) {
  if (copy.element_size == 1) {
    CopyStridedOf<uint8_t>(copy);
  } else if (copy.element_size == 4) {
    CopyStridedOf<uint32_t>(copy);
  } else {
    CopyStridedOf<uint64_t>(copy);
  }
}

template <typename T>
PTQ_INLINE void CopyInterleavedOf(const InterleavedCopy& copy) {
  const T* x = static_cast<const T*>(copy.x);
  T* y = static_cast<T*>(copy.y);
  for (size_t row = 0; row < copy.rows; ++row, x += copy.x_stride, y += 2 * copy.count) {
    const T *first = x + copy.first[0], *second = x + copy.first[1];
    const auto block = [&](size_t begin) __attribute__((always_inline)) {
      T values[2 * kBlock];
      Interleave(first + begin, second + begin, values, kBlock);
      memcpy(y + 2 * begin, values, sizeof values);
    };
    if (!ForBlocks(copy.count, block)) Interleave(first, second, y, copy.count);
  }
}

PTQ_INLINE void CopyInterleaved(const InterleavedCopy& copy) {
  if (copy.element_size == 1) {
    CopyInterleavedOf<uint8_t>(copy);
  } else if (copy.element_size == 4) {
    CopyInterleavedOf<uint32_t>(copy);
  } else {
    CopyInterleavedOf<uint64_t>(copy);
  }
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_COPY_PLAIN_H_
