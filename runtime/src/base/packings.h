// Constants that several operators read, packed once: which were packed lately, and how.
#ifndef PTQ_BASE_PACKINGS_H_
#define PTQ_BASE_PACKINGS_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/math.h"
#include "base/pool.h"

namespace ptq {

// Equal keys are packed into equal bytes. No padding: keys are compared as bytes.
struct PackingKey {
  const void* constant;
  size_t layout[9];
};

class Packings {
  // As many as a cell that is unrolled has weights, with room: the search takes no time.
  static constexpr size_t kRemembered = 64;

 public:
  // Constants outside these bytes are expanded or converted: others take their place in memory.
  void ShareConstantsIn(const uint8_t* data, size_t size) {
    begin_ = reinterpret_cast<uintptr_t>(data);
    size_ = size;
  }

  template <typename T>
  bool Find(const PackingKey& key, Pooled<T>* packed) const {
    for (size_t i = 0; i < Min(count_, kRemembered); ++i) {
      if (memcmp(&entries_[i].key, &key, sizeof(key)) != 0) continue;
      *packed = Pooled<T>(static_cast<T*>(entries_[i].data), entries_[i].size);
      return true;
    }
    return false;
  }

  template <typename T>
  void Remember(const PackingKey& key, Pooled<T>* packed) {
    if (reinterpret_cast<uintptr_t>(key.constant) - begin_ >= size_) return;
    entries_[count_++ % kRemembered] = {key, packed->data(), packed->size()};
  }

 private:
  struct Entry {
    PackingKey key;
    void* data;
    size_t size;
  };
  uintptr_t begin_ = 0;
  size_t size_ = 0, count_ = 0;
  Entry entries_[kRemembered] = {};
};

}  // namespace ptq

#endif  // PTQ_BASE_PACKINGS_H_
