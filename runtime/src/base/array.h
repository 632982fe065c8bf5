// Array<T>: a fixed-size, 64-byte aligned, zero-filled heap array of plain values. Allocation can
// fail and says so: the runtime is built without exceptions and must answer PTQ_OUT_OF_MEMORY, not
// abort.
#ifndef PTQ_BASE_ARRAY_H_
#define PTQ_BASE_ARRAY_H_

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <type_traits>

#include "base/budget.h"
#include "base/status.h"

namespace ptq {

constexpr size_t kAlignment = 64;  // a cache line, and the widest vector register

// Bytes after the last element of every Array and Pooled, hence of the arena, that may be read (not
// used): kernels load whole vectors at the end of a row.
constexpr size_t kReadSlack = 64;

template <typename T>
class Array {
  static_assert(std::is_trivially_copyable<T>::value, "elements are moved and zeroed as bytes");

 public:
  Array() = default;
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { free(block_); }

  // Replaces the content by `size` zero elements.
  ptq_status Allocate(size_t size) {
    if (size > (SIZE_MAX - kAlignment - kReadSlack) / sizeof(T)) return OutOfMemory(size);
    if (!Budget::Take(size * sizeof(T))) return OutOfMemory(size);
    // calloc, then aligned by hand: large zero pages come from the kernel on first touch, so that a
    // file that claims a huge arena costs nothing until it is used.
    void* block = calloc(size * sizeof(T) + kAlignment + kReadSlack, 1);
    if (block == nullptr) return OutOfMemory(size);
    free(block_);
    block_ = block;
    const uintptr_t address = reinterpret_cast<uintptr_t>(block);
    data_ = reinterpret_cast<T*>((address + kAlignment - 1) / kAlignment * kAlignment);
    size_ = size;
    return PTQ_OK;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

 private:
  static ptq_status OutOfMemory(size_t size) {
    return Fail(PTQ_OUT_OF_MEMORY, "cannot allocate %zu elements of %zu bytes", size, sizeof(T));
  }

  void* block_ = nullptr;  // what free() takes
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace ptq

#endif  // PTQ_BASE_ARRAY_H_
