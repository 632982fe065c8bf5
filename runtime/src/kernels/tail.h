// The last elements of a row, fewer than a kernel takes at a time: copied to where whole vectors
// may be read and written, and back. Included once per instruction set.
#ifndef PTQ_KERNELS_TAIL_H_
#define PTQ_KERNELS_TAIL_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/math.h"

#if defined(__AVX512BW__)
#include <immintrin.h>
#endif

namespace ptq {
namespace {  // its own copy in each file that includes it, for that file's instruction set

#if defined(__AVX512BW__)

// The first `bytes` of 64.
PTQ_INLINE __mmask64 FirstBytes(size_t bytes) {
  return bytes >= 64 ? ~uint64_t{0} : (uint64_t{1} << bytes) - 1;
}

// `bytes` from `from`, then zeros: kSize bytes (a multiple of 64) to `to`. In whole registers:
// loads that follow then find what they need in one store.
template <size_t kSize>
PTQ_INLINE void PadTail(void* to, const void* from, size_t bytes) {
  for (size_t i = 0; i < kSize; i += 64) {
    const __mmask64 mask = FirstBytes(bytes > i ? bytes - i : 0);
    _mm512_storeu_si512(static_cast<char*>(to) + i,
                        _mm512_maskz_loadu_epi8(mask, static_cast<const char*>(from) + i));
  }
}

// `bytes` < kSize from `from`, where kSize bytes may be read.
template <size_t kSize>
PTQ_INLINE void CopyTail(void* to, const void* from, size_t bytes) {
  for (size_t i = 0; i < kSize; i += 64) {
    const __mmask64 mask = FirstBytes(bytes > i ? bytes - i : 0);
    _mm512_mask_storeu_epi8(static_cast<char*>(to) + i, mask,
                            _mm512_loadu_si512(static_cast<const char*>(from) + i));
  }
}

#else

// `bytes` < kSize, a power of 2, from `from`: pieces of kSize / 2, kSize / 4, ... 1, without a call
// or a loop.
template <size_t kSize>
PTQ_INLINE void CopyTail(void* to, const void* from, size_t bytes) {
  if constexpr (kSize > 1) {
    constexpr size_t kPiece = kSize / 2;
    const size_t copied = bytes & kPiece;
    if (copied != 0) memcpy(to, from, kPiece);
    CopyTail<kPiece>(static_cast<char*>(to) + copied, static_cast<const char*>(from) + copied,
                     bytes - copied);
  }
}

// The same, then zeros: kSize bytes to `to`.
template <size_t kSize>
PTQ_INLINE void PadTail(void* to, const void* from, size_t bytes) {
  memset(to, 0, kSize);
  CopyTail<kSize>(to, from, bytes);
}

#endif

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_TAIL_H_
