// Memory that ends at a page nobody may touch: a read or write beyond it faults in the test instead
// of passing unnoticed.
#ifndef PTQ_TEST_SUPPORT_GUARDED_H_
#define PTQ_TEST_SUPPORT_GUARDED_H_

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test/support/check.h"
#include "test/support/list.h"

namespace ptq_test {

// `size` elements, then `slack` bytes of poison that may be read, then the guard page. Every byte
// starts as poison: 0xFF, which is a NaN as a float.
template <typename T>
class Guarded {
 public:
  explicit Guarded(size_t size, size_t slack = 0) : size_(size) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)),
                 bytes = size * sizeof(T) + slack;
    mapped_ = (bytes + page - 1) / page * page + page;
    base_ = static_cast<uint8_t*>(
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    CHECK(base_ != MAP_FAILED && mprotect(base_ + mapped_ - page, page, PROT_NONE) == 0);
    uint8_t* begin = base_ + mapped_ - page - bytes;
    memset(begin, 0xFF, bytes);
    data_ = reinterpret_cast<T*>(begin);
  }
  Guarded(const List<T>& values, size_t slack) : Guarded(values.size(), slack) {
    memcpy(data_, values.data(), values.size() * sizeof(T));
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { munmap(base_, mapped_); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  uint8_t* base_;
  size_t mapped_, size_;
  T* data_;
};

}  // namespace ptq_test

#endif  // PTQ_TEST_SUPPORT_GUARDED_H_
