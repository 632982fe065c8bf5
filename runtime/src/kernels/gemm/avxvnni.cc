// gemm for AVX-VNNI, the dot product of CPUs without AVX-512: 6 pixels by 16 channels, 12
// accumulators of 8 lanes.
#include "kernels/gemm/vector256.h"

namespace ptq {
namespace {

// vpdpbusd multiplies unsigned by signed bytes and adds four neighbours into int32: x + 128 is x
// with its sign bit flipped, and the bias takes the 128 back (input_offset).
struct Int8AvxVnni : Int8Sums256 {
  static constexpr size_t kGroup = 4, kCopy = 32;

  PTQ_INLINE static void Copy(const int8_t* x, uint8_t* to) {
    const __m256i sign = _mm256_set1_epi8(static_cast<char>(0x80));
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(to),
        _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)), sign));
  }
  PTQ_INLINE static __m256i LoadWeights(const int8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  PTQ_INLINE static __m256i MultiplyAdd(__m256i x, __m256i w, __m256i sum) {
    return _mm256_dpbusd_avx_epi32(sum, x, w);
  }
};

}  // namespace

void gemm_i8_6x16__avxvnni(const GemmI8Tile& tile) { RunI8<Int8AvxVnni>(tile); }

}  // namespace ptq
