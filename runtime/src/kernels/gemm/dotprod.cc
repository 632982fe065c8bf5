// gemm for the Armv8.2 dot product: 5 pixels by 16 channels, 20 accumulators of four outputs.
#include "kernels/gemm/contract.h"
#include "kernels/gemm/neon_lanes.h"
#include "kernels/gemm/neon_store_i8.h"

namespace ptq {
namespace {

// A lane of x is 4 channels of a pixel, a vector of weights the same 4 of four outputs.
struct DotProduct {
  using Vector = int32x4_t;
  template <int kLane>
  PTQ_INLINE static void MultiplyAdd(int32x4_t& sum, int32x4_t w, int32x4_t x) {
    __asm__ volatile("sdot %0.4s, %1.16b, %2.4b[%3]" : "+w"(sum) : "w"(w), "w"(x), "n"(kLane));
  }
};

class GemmI8 {
 public:
  static constexpr size_t kGroupRows = kLaneGroupRows;
  using Tile = GemmI8Tile;

  PTQ_INLINE explicit GemmI8(const Tile& tile)
      : lanes_(CeilDiv(tile.depth, kLaneBytes)), range_(MakeI8Range(tile.range)) {}

  template <size_t kRows, size_t kVectors>
  PTQ_INLINE void Block(const Tile& tile, size_t column, const uint8_t*& w) const {
    int32x4_t sum[kRows][kVectors];
    AccumulateBlock<DotProduct>(tile.rows, tile.taps, lanes_, tile.bias + column, w, sum);
    StoreBlock(tile, range_, column, sum);
  }

 private:
  Lanes lanes_;
  I8Range range_;
};

}  // namespace

void gemm_i8_5x16__dotprod(const GemmI8Tile& tile) { RunTile<GemmI8>(tile); }

}  // namespace ptq
