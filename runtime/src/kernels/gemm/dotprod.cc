// gemm for the Armv8.2 dot product: 5 pixels by 16 channels, 20 accumulators of four outputs.
#include "kernels/gemm/contract.h"
#include "kernels/gemm/neon_lanes.h"
#include "kernels/gemm/neon_store.h"

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

struct GemmI8 {
  template <size_t kRows, size_t kVectors>
  PTQ_INLINE static void Block(const GemmI8Tile& tile, size_t column, size_t columns,
                               const uint8_t*& w) {
    int32x4_t sum[kRows][kVectors];
    AccumulateBlock<DotProduct>(tile.rows, tile.taps, CeilDiv(tile.depth, kLaneBytes),
                                tile.bias + column, w, sum);
    StoreBlock(tile, column, columns, sum);
  }

  template <size_t kRows>
  static void Rows(const GemmI8Tile& tile) {
    const uint8_t* w = reinterpret_cast<const uint8_t*>(tile.weights);
    size_t column = 0;
    for (; column + kLaneColumns / 2 < tile.columns; column += kLaneColumns)
      Block<kRows, 4>(tile, column, tile.columns - column, w);
    if (column < tile.columns) Block<kRows, 2>(tile, column, tile.columns - column, w);
  }
};

}  // namespace

void gemm_i8_5x16__dotprod(const GemmI8Tile& tile) { RunRows<GemmI8>(tile); }

}  // namespace ptq
