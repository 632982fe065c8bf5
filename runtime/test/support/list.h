// List<T>: a growable array of plain values for tests; the tests, like the runtime, link no C++
// library.
#ifndef PTQ_TEST_SUPPORT_LIST_H_
#define PTQ_TEST_SUPPORT_LIST_H_

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <initializer_list>
#include <type_traits>

namespace ptq_test {

template <typename T>
class List {
  static_assert(std::is_trivially_copyable<T>::value, "elements are copied as bytes");

 public:
  List() = default;
  explicit List(size_t size) { Resize(size); }
  List(std::initializer_list<T> values) {
    for (const T& value : values) Add(value);
  }
  List(const List& other) { Append(other.data_, other.size_); }
  List& operator=(const List& other) {
    if (this == &other) return *this;
    size_ = 0;
    Append(other.data_, other.size_);
    return *this;
  }
  ~List() { free(data_); }

  void Add(const T& value) {
    const T copy = value;
    Append(&copy, 1);
  }
  void Append(const T* values, size_t count) {
    const size_t old = size_;
    Resize(size_ + count);
    if (count > 0) memcpy(static_cast<void*>(data_ + old), values, count * sizeof(T));
  }
  // New elements are zero.
  void Resize(size_t size) {
    if (size > capacity_) {
      capacity_ = size > 2 * capacity_ ? size : 2 * capacity_;
      data_ = static_cast<T*>(realloc(static_cast<void*>(data_), capacity_ * sizeof(T)));
      if (data_ == nullptr) abort();
    }
    if (size > size_) memset(static_cast<void*>(data_ + size_), 0, (size - size_) * sizeof(T));
    size_ = size;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0, capacity_ = 0;
};

}  // namespace ptq_test

#endif  // PTQ_TEST_SUPPORT_LIST_H_
