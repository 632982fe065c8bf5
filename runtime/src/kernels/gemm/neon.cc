// gemm for Armv8.0 NEON: float 5 pixels by 16 channels, int8 4 by 4.
#include "base/math.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/neon_i8.h"
#include "kernels/gemm/neon_lanes.h"
#include "kernels/gemm/neon_store_f32.h"
#include "kernels/gemm/rows.h"
#include "kernels/gemm/store_i8.h"

namespace ptq {
namespace {

struct FusedMultiplyAdd {
  using Vector = float32x4_t;
  template <int kLane>
  PTQ_INLINE static void MultiplyAdd(float32x4_t& sum, float32x4_t w, float32x4_t x) {
    __asm__ volatile("fmla %0.4s, %1.4s, %2.s[%3]" : "+w"(sum) : "w"(w), "w"(x), "n"(kLane));
  }
};

class GemmF32 {
 public:
  static constexpr size_t kGroupRows = kLaneGroupRows;
  using Tile = GemmF32Tile;

  PTQ_INLINE explicit GemmF32(const Tile& tile) : lanes_(tile.depth) {}

  template <size_t kRows, size_t kVectors>
  PTQ_INLINE void Block(const Tile& tile, size_t column, const uint8_t*& w) const {
    float32x4_t sum[kRows][kVectors];
    AccumulateBlock<FusedMultiplyAdd>(tile.rows, tile.taps, lanes_, tile.bias + column, w, sum);
    StoreBlock(tile, column, sum);
  }

 private:
  Lanes lanes_;
};

}  // namespace

void gemm_f32_5x16__neon(const GemmF32Tile& tile) { RunTile<GemmF32>(tile); }

void gemm_i8_4x4__neon(const GemmI8Tile& tile) { RunRowGroups<GemmI8<4>, 4>(tile); }

}  // namespace ptq
