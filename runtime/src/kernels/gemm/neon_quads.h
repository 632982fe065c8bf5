// What the A64 kernels of floats and halves share: 12 pixels by two registers of channels, 24
// accumulators.
//
// Rows are copied into the scratch first, four of them interleaved:
//
//   packed[quad][k][i] = x[4 * quad + i][k]
//
// so that a register holds what the channels of four pixels are multiplied with. Read as they are,
// 12 rows would take 12 registers, and there are 6 for x beside 2 of weights.
#ifndef PTQ_KERNELS_GEMM_NEON_QUADS_H_
#define PTQ_KERNELS_GEMM_NEON_QUADS_H_

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#include "base/math.h"
#include "kernels/gemm/contract.h"
#include "kernels/gemm/neon_tile.h"
#include "kernels/gemm/rows.h"

namespace ptq {
namespace {

// Kernel: the types Element, Vector, Vectors (four, as vst4q takes them) and Output, where a block
// of channels goes; Interleave, which stores Vectors; Accumulate over all products.
template <typename Kernel>
class QuadKernel {
 public:
  using Element = typename Kernel::Element;
  using Tile = GemmRealTile<Element>;
  static constexpr size_t kMr = 36, kGroupRows = 12;
  static constexpr size_t kLanes = kVectorBytes / sizeof(Element), kNr = 2 * kLanes;

  template <size_t kRows>
  __attribute__((noinline)) static void Rows(const Tile& by_reference, size_t groups) {
    constexpr size_t kQuads = CeilDivided(kRows, 4);
    const Tile tile = by_reference;
    const size_t products = tile.taps * tile.depth, quad_step = 4 * (products + kLanes);
    for (size_t g = 0; g < groups; ++g) PackGroup<kRows>(tile, g, quad_step);
    for (size_t column = 0; column < tile.columns; column += kNr) {
      Element buffer[kMr * kNr];
      typename Kernel::Output output(tile, column, buffer);
      const uint8_t* packed = reinterpret_cast<const uint8_t*>(tile.scratch);
      for (size_t g = 0; g < groups; ++g) {
        typename Kernel::Vector sum[kRows][2];
#pragma unroll
        for (size_t i = 0; i < kRows; ++i) LoadPairAt<0>(tile.bias + column, sum[i][0], sum[i][1]);
        const uint8_t* x[kQuads];
#pragma unroll
        for (size_t q = 0; q < kQuads; ++q, packed += quad_step * sizeof(Element)) x[q] = packed;
        const uint8_t* w = reinterpret_cast<const uint8_t*>(tile.weights + column * tile.products);
        Kernel::Accumulate(products, x, w, sum);
        output.Store(sum);
      }
      output.Finish(tile, column, groups * kRows, buffer);
    }
  }

 private:
  static constexpr size_t CeilDivided(size_t a, size_t b) { return (a + b - 1) / b; }

  // Where a tap's depth ends within a register, up to a register less one too many are copied; the
  // next tap overwrites them.
  template <size_t kRows>
  PTQ_INLINE static void PackGroup(const Tile& tile, size_t group, size_t quad_step) {
    constexpr size_t kQuads = CeilDivided(kRows, 4);
    for (size_t q = 0; q < kQuads; ++q) {
      Element* packed = tile.scratch + (group * kQuads + q) * quad_step;
      const Element* const* rows = tile.rows + group * kRows;
      for (size_t tap = 0; tap < tile.taps; ++tap, rows += kMr, packed += 4 * tile.depth) {
        PackQuad(rows[4 * q], rows[Min(4 * q + 1, kRows - 1)], rows[Min(4 * q + 2, kRows - 1)],
                 rows[Min(4 * q + 3, kRows - 1)], tile.depth, packed);
      }
    }
  }

  PTQ_INLINE static void PackQuad(const Element* row0, const Element* row1, const Element* row2,
                                  const Element* row3, size_t depth, Element* packed) {
    const uint8_t* x[] = {
        reinterpret_cast<const uint8_t*>(row0), reinterpret_cast<const uint8_t*>(row1),
        reinterpret_cast<const uint8_t*>(row2), reinterpret_cast<const uint8_t*>(row3)};
    typename Kernel::Vectors low, high;
    for (size_t k = depth / (2 * kLanes); k != 0; --k) {
#pragma unroll
      for (size_t i = 0; i < 4; ++i) LoadPair<2 * kVectorBytes>(x[i], low.val[i], high.val[i]);
      StoreNext(low, packed);
      StoreNext(high, packed);
    }
    for (size_t k = 0; k < depth % (2 * kLanes); k += kLanes) {
#pragma unroll
      for (size_t i = 0; i < 4; ++i) LoadNext(x[i], low.val[i]);
      StoreNext(low, packed);
    }
  }

  PTQ_INLINE static void StoreNext(const typename Kernel::Vectors& x, Element*& packed) {
    Kernel::Interleave(x, packed);
    packed += 4 * kLanes;
    __asm__("" : "+r"(packed));  // so that each store moves the pointer itself
  }
};

template <typename Kernel>
PTQ_INLINE void RunQuads(const GemmRealTile<typename Kernel::Element>& tile) {
  RunRowGroups<QuadKernel<Kernel>, QuadKernel<Kernel>::kGroupRows>(tile);
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_NEON_QUADS_H_
