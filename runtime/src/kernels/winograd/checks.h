// What callers of winograd kernels promise (contract.h), as checks.
#ifndef PTQ_KERNELS_WINOGRAD_CHECKS_H_
#define PTQ_KERNELS_WINOGRAD_CHECKS_H_

#include "kernels/checked.h"
#include "kernels/winograd/contract.h"

namespace ptq {

inline void CheckCall(const WinogradKernel& kernel, const WinogradInput& window) {
  PTQ_REQUIRE(window.channels >= 1 && window.position_stride >= window.channels);
  PTQ_REQUIRE(IsValid(window.pixels, kWinogradPositions));
  for (size_t i = 0; i < kWinogradPositions; ++i)
    PTQ_REQUIRE(IsValid(window.pixels[i], window.channels));
  PTQ_REQUIRE(IsValid(window.transformed,
                      Extent(kWinogradPositions, window.channels, window.position_stride)));
}

inline void CheckCall(const WinogradKernel& kernel, const WinogradOutput& tile) {
  PTQ_REQUIRE(tile.channels >= 1 && tile.position_stride >= tile.channels);
  PTQ_REQUIRE(IsValid(tile.sums, Extent(kWinogradPositions, tile.channels, tile.position_stride)));
  PTQ_REQUIRE(IsValid(tile.bias, tile.channels));
  PTQ_REQUIRE(tile.lo <= tile.hi);
  for (const auto& row : tile.pixels) {
    for (const float* pixel : row) PTQ_REQUIRE(IsValid(pixel, tile.channels));
  }
}

}  // namespace ptq

#endif  // PTQ_KERNELS_WINOGRAD_CHECKS_H_
