// What callers of gemm kernels promise (contract.h), as checks.
#ifndef PTQ_KERNELS_GEMM_CHECKS_H_
#define PTQ_KERNELS_GEMM_CHECKS_H_

#include "base/array.h"
#include "kernels/checked.h"
#include "kernels/gemm/contract.h"

namespace ptq {

// What float and int8 tiles have in common.
template <typename Kernel, typename Tile>
void CheckTile(const Kernel& kernel, const Tile& tile) {
  PTQ_REQUIRE(tile.taps >= 1 && tile.depth >= 1);
  PTQ_REQUIRE(tile.valid_rows >= 1 && tile.valid_rows <= kernel.mr);
  PTQ_REQUIRE(tile.columns >= 1 && tile.output_stride >= tile.columns);
  PTQ_REQUIRE(IsValid(tile.rows, tile.taps * kernel.mr));
  for (size_t i = 0; i < tile.taps * kernel.mr; ++i)
    PTQ_REQUIRE(IsValid(tile.rows[i], tile.depth, kReadSlack));
  PTQ_REQUIRE(IsValid(tile.bias, RoundUp(tile.columns, kernel.nr)));
}

template <typename T>
void CheckCall(const GemmRealKernel<T>& kernel, const GemmRealTile<T>& tile) {
  CheckTile(kernel, tile);
  const size_t blocks = CeilDiv(tile.columns, kernel.nr), products = tile.taps * tile.depth;
  PTQ_REQUIRE(blocks == 1 || tile.products >= products);
  PTQ_REQUIRE(
      IsValid(tile.weights, Extent(blocks, products * kernel.nr, tile.products * kernel.nr)));
  PTQ_REQUIRE(IsValid(tile.output, Extent(tile.valid_rows, tile.columns, tile.output_stride)));
  PTQ_REQUIRE(tile.lo <= tile.hi);
  PTQ_REQUIRE(IsValid(tile.scratch, kernel.ScratchElements(tile.taps * tile.depth)));
}

inline void CheckCall(const GemmI8Kernel& kernel, const GemmI8Tile& tile) {
  CheckTile(kernel, tile);
  const size_t blocks = CeilDiv(tile.columns, kernel.nr),
               outputs = Extent(tile.valid_rows, tile.columns, tile.output_stride);
  PTQ_REQUIRE(
      IsValid(tile.weights, blocks * kernel.nr * tile.taps * RoundUp(tile.depth, kernel.kd)));
  PTQ_REQUIRE(IsValid(tile.multiplier, RoundUp(tile.columns, kernel.nr)));
  PTQ_REQUIRE(AreMultipliers(tile.multiplier, tile.columns));
  for (size_t i = 0; tile.small_results && i < tile.columns; ++i)
    PTQ_REQUIRE(tile.multiplier[i] < 1.0f);
  PTQ_REQUIRE(kernel.shifted_sums || !tile.shifted_sums);
  PTQ_REQUIRE(kernel.adds_residual || tile.add == nullptr);
  if (tile.output_i8 != nullptr) {
    PTQ_REQUIRE(IsValid(tile.output_i8, outputs));
    PTQ_REQUIRE(IsRange(tile.range));
  } else {
    PTQ_REQUIRE(IsValid(tile.output_f32, outputs));
    PTQ_REQUIRE(tile.lo <= tile.hi);
  }
  if (tile.add != nullptr) {
    PTQ_REQUIRE(tile.output_i8 != nullptr && IsValid(tile.add->b, outputs));
    PTQ_REQUIRE(tile.add->a_zero_point == tile.range.zero_point);
    PTQ_REQUIRE(IsRange(tile.add->range));
    PTQ_REQUIRE(tile.add->a_multiplier < 1048576.0f && tile.add->b_multiplier < 1048576.0f);
  }
}

}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_CHECKS_H_
