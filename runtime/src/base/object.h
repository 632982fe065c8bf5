// New<T>/Delete: heap objects through malloc, so that failure is a null pointer and no C++ runtime
// library is needed (the runtime links with -nostdlib++ where the linker knows it).
#ifndef PTQ_BASE_OBJECT_H_
#define PTQ_BASE_OBJECT_H_

#include <stdlib.h>

#include <new>

#include "base/budget.h"

namespace ptq {

template <typename T>
T* New() {
  static_assert(alignof(T) <= 16, "malloc aligns to 16 at most");
  void* memory = Budget::Take(sizeof(T)) ? malloc(sizeof(T)) : nullptr;
  return memory == nullptr ? nullptr : new (memory) T();
}

template <typename T>
void Delete(T* object) {
  if (object == nullptr) return;
  object->~T();
  free(object);
}

}  // namespace ptq

#endif  // PTQ_BASE_OBJECT_H_
