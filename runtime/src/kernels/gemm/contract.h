// Indirect GEMM: the kernel family of convolutions and matrix products.
//
// A kernel computes a tile of up to mr output pixels by any number of output channels, nr at a
// time. It does not know convolutions: for each tap (kernel position) it gets one pointer per pixel
// to `depth` contiguous input channels. The caller points taps that lie in the padding at a row of
// padding values, so kernels have no bounds checks. A fully connected layer has one tap.
//
// Up to kReadSlack bytes after each row of input may be read; their values are arbitrary and must
// not reach an output (packed weights are zero there, which is enough for int8, not for floats).
#ifndef PTQ_KERNELS_GEMM_CONTRACT_H_
#define PTQ_KERNELS_GEMM_CONTRACT_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/elementwise/contract.h"
#include "kernels/kernel_list.h"
#include "numerics/half.h"
#include "numerics/requantize.h"

namespace ptq {

// T: float, or Half for kernels that multiply and add in half precision.
template <typename T>
struct GemmRealTile {
  const T* const* rows;  // [taps][mr]; every pointer is valid, also beyond valid_rows
  size_t taps, depth;
  // Packed blocks of nr channels, each [products][nr], of which the first taps * depth are taken.
  const T* weights;
  size_t products;
  const T* bias;      // [columns rounded up to nr]
  size_t valid_rows;  // pixels to compute: 1 ... mr
  size_t columns;     // output channels to compute: at least 1
  T* output;
  size_t output_stride;  // elements from one pixel to the next
  float lo, hi;
  // Read soon by another call: kernels may bring it into the cache while they compute.
  const void* next = nullptr;
  size_t next_bytes = 0;
  T* scratch = nullptr;  // the kernel's ScratchElements
};
using GemmF32Tile = GemmRealTile<float>;
using GemmF16Tile = GemmRealTile<Half>;

struct GemmI8Tile {
  const int8_t* const* rows;
  size_t taps, depth;
  // Packed blocks of nr channels, each [taps][round_up(depth, kd) / kr][nr][kr], zero beyond depth.
  const int8_t* weights;
  const int32_t* bias;      // bias - (zero_point_in + input_offset) * sum(w), modulo 2^32
  const float* multiplier;  // s_in * s_w / s_out, or s_in * s_w for a float output
  size_t valid_rows, columns;
  int8_t* output_i8;  // null: the output is float
  OutputRange range;  // for output_i8
  float* output_f32;
  float lo, hi;  // for output_f32
  size_t output_stride;
  const void* next = nullptr;  // as in GemmRealTile
  size_t next_bytes = 0;
  // The bias has kSumShift added (numerics/shifted_sum.h), and every sum of the tile's columns
  // fits.
  bool shifted_sums = false;
  // Every multiplier is below 1: no sum times its multiplier is beyond int32.
  bool small_results = false;
  // For kernels with adds_residual: what is added to the quantized outputs, if not null. Its b is
  // the first pixel's residual, and lies as the output does; its a_zero_point is that of `range`.
  // a, y, the steps and count are not read. Both multipliers are less than 2^20.
  const BinaryI8Row* add = nullptr;
};

template <typename T>
struct GemmRealKernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const GemmRealTile<T>&);
  size_t mr, nr;
  static constexpr size_t kr = 1, kd = 1;  // as in GemmI8Kernel
  size_t group_rows = 1;    // computed together: tiles are multiples of it where they can be
  bool packs_rows = false;  // copies a tile's rows into its scratch, which pays for many columns

  // Of tiles of taps * depth = `products`. Copies run over by less than 16 bytes for each row.
  size_t ScratchElements(size_t products) const {
    return packs_rows ? mr * (products + 16 / sizeof(T)) : 0;
  }
};
using GemmF32Kernel = GemmRealKernel<float>;
using GemmF16Kernel = GemmRealKernel<Half>;

struct GemmI8Kernel {
  const char* name;
  uint32_t requires_features;
  void (*run)(const GemmI8Tile&);
  size_t mr, nr;
  size_t kr = 1;             // products of one output that lie side by side in the packed weights
  size_t kd = 1;             // each tap's depth is packed as a multiple of this, itself one of kr
  int32_t input_offset = 0;  // added to x before it is multiplied: 128 where x must be unsigned
  size_t group_rows = 1;     // as in GemmRealKernel
  static constexpr bool packs_rows = false;
  bool shifted_sums = false;  // gains from shifted sums
  bool adds_residual = false;
  bool pairs_in_int16 = false;  // adds two products in int16: no weight may be -128
};

#define PTQ_ROWS "kernels/gemm/kernels.inc"
#include "kernels/declare.inc"

}  // namespace ptq

#endif  // PTQ_KERNELS_GEMM_CONTRACT_H_
