// gemm for AVX2 with FMA: 6 pixels by 16 channels, 12 accumulators of 8 lanes.
#include "kernels/gemm/vector256.h"

namespace ptq {
namespace {

// Both operands widened to int16: vpmaddwd multiplies them and adds two neighbours into int32,
// exactly. (vpmaddubsw, which takes bytes, saturates the sum of two products.)
struct Int8Avx2 : Int8Sums256 {
  static constexpr size_t kGroup = 2, kCopy = 16;

  PTQ_INLINE static __m256i Widen(const int8_t* p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  PTQ_INLINE static void Copy(const int8_t* x, uint8_t* to) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), Widen(x));
  }
  PTQ_INLINE static __m256i LoadWeights(const int8_t* p) { return Widen(p); }
  PTQ_INLINE static __m256i MultiplyAdd(__m256i x, __m256i w, __m256i sum) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(x, w));
  }
};

}  // namespace

void gemm_f32_6x16__avx2(const GemmF32Tile& tile) { RunF32<Float256>(tile); }

void gemm_i8_6x16__avx2(const GemmI8Tile& tile) { RunI8<Int8Avx2>(tile); }

}  // namespace ptq
