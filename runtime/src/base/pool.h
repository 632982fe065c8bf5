// Memory for what is read in bulk, from large blocks of their own: packed weights one after the
// other, the arena. The kernel may back them with huge pages, which saves most of the address
// translations while weights stream by.
#ifndef PTQ_BASE_POOL_H_
#define PTQ_BASE_POOL_H_

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

namespace ptq {

// `size` elements that live as long as the pool.
template <typename T>
class Pooled {
 public:
  Pooled() = default;
  Pooled(T* data, size_t size) : data_(data), size_(size) {}
  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  friend class Pool;
  T* data_ = nullptr;
  size_t size_ = 0;
};

class Pool {
  static constexpr size_t kBlock = sizeof(void*) == 8 ? size_t{32} << 20 : size_t{4} << 20;

 public:
  // `block`: the least that is taken at a time, in address space.
  explicit Pool(size_t block = kBlock) : block_(block) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();

  // Zero elements, 64-byte aligned, with kReadSlack readable bytes behind them. Pages are taken
  // from the system when they are first touched.
  template <typename T>
  ptq_status Allocate(size_t size, Pooled<T>* out) {
    if (size > SIZE_MAX / 2 / sizeof(T)) return OutOfMemory(size);
    void* data = nullptr;
    PTQ_RETURN_IF_ERROR(AllocateBytes(size * sizeof(T), &data));
    out->data_ = static_cast<T*>(data);
    out->size_ = size;
    return PTQ_OK;
  }

 private:
  struct Block {
    Block* next;
    uint8_t* begin;
    size_t size, used;
  };
  ptq_status AllocateBytes(size_t size, void** out);
  ptq_status AddBlock(size_t size);
  static ptq_status OutOfMemory(size_t size);

  const size_t block_;
  Block* blocks_ = nullptr;  // the last one added is first
};

}  // namespace ptq

#endif  // PTQ_BASE_POOL_H_
