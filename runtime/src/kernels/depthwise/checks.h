// What callers of depthwise kernels promise (contract.h), as checks.
#ifndef PTQ_KERNELS_DEPTHWISE_CHECKS_H_
#define PTQ_KERNELS_DEPTHWISE_CHECKS_H_

#include "base/array.h"
#include "kernels/checked.h"
#include "kernels/depthwise/contract.h"

namespace ptq {

template <typename T, typename Row>
void CheckRow(const DepthwiseKernel<T, Row>& kernel, const Row& row) {
  const DepthwiseShape& shape = row.shape;
  PTQ_REQUIRE(shape.channels >= 1 && row.outputs >= 1);
  PTQ_REQUIRE(FitsDepthwise(kernel, shape));
  PTQ_REQUIRE(row.output_stride >= shape.channels);
  const size_t pointers = shape.Columns(row.outputs) * shape.kernel_h;
  PTQ_REQUIRE(IsValid(row.columns, pointers));
  for (size_t i = 0; i < pointers; ++i)
    PTQ_REQUIRE(IsValid(row.columns[i], shape.channels, kReadSlack));
  PTQ_REQUIRE(IsValid(row.weights, kernel.packing.size(shape)));
  PTQ_REQUIRE(IsValid(row.bias, RoundUp(shape.channels, kDepthwiseChannelBlock)));
}

template <typename T, typename Row>
void CheckCall(const DepthwiseKernel<T, Row>& kernel, const Row& row) {
  CheckRow(kernel, row);
  PTQ_REQUIRE(IsValid(row.output, Extent(row.outputs, row.shape.channels, row.output_stride)));
  PTQ_REQUIRE(row.lo <= row.hi);
}

inline void CheckCall(const DepthwiseI8Kernel& kernel, const DepthwiseI8Row& row) {
  CheckRow(kernel, row);
  const size_t outputs = Extent(row.outputs, row.shape.channels, row.output_stride);
  PTQ_REQUIRE(IsValid(row.multiplier, RoundUp(row.shape.channels, kDepthwiseChannelBlock)));
  PTQ_REQUIRE(AreMultipliers(row.multiplier, row.shape.channels));
  PTQ_REQUIRE(kernel.shifted_sums || !row.shifted_sums);
  if (row.output_i8 != nullptr) {
    PTQ_REQUIRE(IsValid(row.output_i8, outputs));
    PTQ_REQUIRE(IsRange(row.range));
  } else {
    PTQ_REQUIRE(IsValid(row.output_f32, outputs));
    PTQ_REQUIRE(row.lo <= row.hi);
  }
}

}  // namespace ptq

#endif  // PTQ_KERNELS_DEPTHWISE_CHECKS_H_
