// Portable gather kernels.
#include <string.h>

#include "kernels/move/contract.h"

namespace ptq {
namespace {

template <typename T>
inline void Gather(const T* x, size_t stride, T* y, size_t count) {
  if (stride == 1) {
    memcpy(y, x, count * sizeof(T));
    return;
  }
  for (size_t i = 0; i < count; ++i) y[i] = x[i * stride];
}

}  // namespace

void gather_x8_x1__scalar(const void* x, size_t stride, void* y, size_t count) {
  Gather(static_cast<const uint8_t*>(x), stride, static_cast<uint8_t*>(y), count);
}

void gather_x32_x1__scalar(const void* x, size_t stride, void* y, size_t count) {
  Gather(static_cast<const uint32_t*>(x), stride, static_cast<uint32_t*>(y), count);
}

}  // namespace ptq
