// Table lookup for AVX-512 VBMI: 64 elements at a time.
#include <immintrin.h>

#include "kernels/convert/contract.h"
#include "kernels/convert/steps.h"

namespace ptq {

void lookup_i8_x64__avx512vbmi(const int8_t* x, int8_t* y, size_t count, const int8_t* table) {
  __m512i parts[4];
  for (size_t i = 0; i < 4; ++i) parts[i] = _mm512_loadu_si512(table + 64 * i);
  ForSteps<64>(x, y, count, [&](const int8_t* from, int8_t* to) __attribute__((always_inline)) {
    // 7 bits of x choose among 128 values, its sign between the halves: the upper one holds x >= 0.
    const __m512i index = _mm512_loadu_si512(from);
    const __m512i low = _mm512_permutex2var_epi8(parts[0], index, parts[1]),
                  high = _mm512_permutex2var_epi8(parts[2], index, parts[3]);
    _mm512_storeu_si512(to, _mm512_mask_mov_epi8(high, _mm512_movepi8_mask(index), low));
  });
}

}  // namespace ptq
