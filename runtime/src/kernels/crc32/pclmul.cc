// CRC-32 by carry-less multiplication: 64 bytes a step are folded into the next 64 (Gopal et al.,
// "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel, 2009).
#include <immintrin.h>

#include "base/math.h"
#include "kernels/crc32/contract.h"

namespace ptq {
namespace {

// x^n modulo the polynomial, bit-reflected and shifted by one, for folds over 512 and 128 bits.
constexpr int64_t kFold512[] = {0x0154442bd4, 0x01c6e41596};
constexpr int64_t kFold128[] = {0x01751997d0, 0x00ccaa009e};

PTQ_INLINE __m128i Load(const uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

// `value` moved forward over the distance that `constants` stand for, plus `next`.
PTQ_INLINE __m128i Fold(__m128i value, __m128i constants, __m128i next) {
  const __m128i low = _mm_clmulepi64_si128(value, constants, 0x00),
                high = _mm_clmulepi64_si128(value, constants, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

}  // namespace

uint32_t crc32_x64__pclmul(uint32_t state, const uint8_t* data, size_t size) {
  if (size < 128) return crc32_x8__scalar(state, data, size);
  const __m128i fold512 = _mm_set_epi64x(kFold512[1], kFold512[0]),
                fold128 = _mm_set_epi64x(kFold128[1], kFold128[0]);
  __m128i lane[4];
  for (size_t i = 0; i < 4; ++i) lane[i] = Load(data + 16 * i);
  lane[0] = _mm_xor_si128(lane[0], _mm_cvtsi32_si128(static_cast<int>(state)));
  data += 64;
  size -= 64;
  for (; size >= 64; data += 64, size -= 64) {
    for (size_t i = 0; i < 4; ++i) lane[i] = Fold(lane[i], fold512, Load(data + 16 * i));
  }
  for (size_t i = 1; i < 4; ++i) lane[0] = Fold(lane[0], fold128, lane[i]);
  // What is left is as good as the bytes it stands for.
  alignas(16) uint8_t rest[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(rest), lane[0]);
  return crc32_x8__scalar(crc32_x8__scalar(0, rest, sizeof rest), data, size);
}

}  // namespace ptq
