// Winograd convolution, F(2x2, 3x3): the transforms around its products. A tile is 2x2 pixels of
// output, which see a window of 4x4 pixels of input. With g a filter, d a window and * element by
// element,
//
//   y = A^T [ sum over channels of (G g G^T) * (B^T d B) ] A
//
// takes 16 products per channel in place of 36 (A. Lavin, S. Gray, "Fast Algorithms for
// Convolutional Neural Networks", CVPR 2016, section 4.1). The sums are the gemm family's: one gemm
// for each of the 16 positions in a window, its rows being tiles.
//
//         1  0 -1  0          1    0    0
//   B^T = 0  1  1  0     G = 1/2  1/2  1/2     A^T = 1  1  1  0
//         0 -1  1  0         1/2 -1/2  1/2           0  1 -1 -1
//         0  1  0 -1          0    0    1
#ifndef PTQ_KERNELS_WINOGRAD_CONTRACT_H_
#define PTQ_KERNELS_WINOGRAD_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_list.h"

namespace ptq {

constexpr size_t kWinogradOutputs = 2;     // pixels of a tile along a side
constexpr size_t kWinogradWindow = 4;      // pixels of a window along a side
constexpr size_t kWinogradPositions = 16;  // in a window

// B^T d B of one window, all channels.
struct WinogradInput {
  const float* const* pixels;  // [4][4], each to `channels` values; zeros in the padding
  size_t channels;             // at least 1
  float* transformed;          // position p begins at p * position_stride
  size_t position_stride;
};

// A^T m A + bias of one tile, all channels, clamped.
struct WinogradOutput {
  const float* sums;  // m: position p begins at p * position_stride
  size_t position_stride;
  size_t channels;    // at least 1
  const float* bias;  // [channels]
  float lo, hi;
  float* pixels[kWinogradOutputs][kWinogradOutputs];  // each to `channels` values
};

struct WinogradKernel {
  const char* name;
  uint32_t requires_features;
  void (*transform_input)(const WinogradInput&);
  void (*transform_output)(const WinogradOutput&);
};

#define PTQ_ROWS "kernels/winograd/kernels.inc"
#include "kernels/declare.inc"

}  // namespace ptq

#endif  // PTQ_KERNELS_WINOGRAD_CONTRACT_H_
