// What the A64 kernels share whose tiles fill the registers.
//
// They need all 32 vector registers, and Clang's scheduler, moving loads up, would spill
// accumulators in the innermost loop. So that loop is written as volatile statements of one
// instruction each: their order is kept, the compiler allocates the registers. What they load was
// written before the kernel was called; they need no memory clobber.
#ifndef PTQ_KERNELS_GEMM_NEON_TILE_H_
#define PTQ_KERNELS_GEMM_NEON_TILE_H_

#include <stddef.h>
#include <stdint.h>

#include "base/math.h"
#include "kernels/gemm/rows.h"

namespace ptq {
namespace {

constexpr size_t kTileColumns = 16, kVectorBytes = 16;

// a, b = 32 bytes from p; p += kStep.
template <size_t kStep, typename V>
PTQ_INLINE void LoadPair(const uint8_t*& p, V& a, V& b) {
  __asm__ volatile("ldp %q0, %q1, [%2], %3" : "=w"(a), "=w"(b), "+r"(p) : "n"(kStep));
}

// a, b = 32 bytes from p + kOffset.
template <size_t kOffset, typename V>
PTQ_INLINE void LoadPairAt(const void* p, V& a, V& b) {
  __asm__ volatile("ldp %q0, %q1, [%2, %3]" : "=w"(a), "=w"(b) : "r"(p), "n"(kOffset));
}

// a = 16 bytes from p; p += 16.
template <typename V>
PTQ_INLINE void LoadNext(const uint8_t*& p, V& a) {
  __asm__ volatile("ldr %q0, [%1], #16" : "=w"(a), "+r"(p));
}

// All columns of a tile: Kernel computes and stores blocks of kVectors * 4.
template <typename Kernel>
struct TileKernel {
  using Tile = typename Kernel::Tile;

  template <size_t kRows>
  __attribute__((noinline)) static void Rows(const Tile& by_reference, size_t groups) {
    // A copy, so that writing the output does not make the compiler load its members again.
    Tile tile = by_reference;
    const Kernel kernel(tile);
    for (; groups != 0; --groups) {
      const uint8_t* w = reinterpret_cast<const uint8_t*>(tile.weights);
      size_t column = 0;
      for (; column + kTileColumns / 2 < tile.columns; column += kTileColumns)
        kernel.template Block<kRows, 4>(tile, column, w);
      if (column < tile.columns) kernel.template Block<kRows, 2>(tile, column, w);
      SkipRows(kRows, &tile);
    }
  }
};

template <typename Kernel>
PTQ_INLINE void RunTile(const typename Kernel::Tile& tile) {
  RunRowGroups<TileKernel<Kernel>, Kernel::kGroupRows>(tile);
}

}  // namespace
}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_NEON_TILE_H_
