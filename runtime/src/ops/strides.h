// Where the elements of several operands lie that numpy broadcasting brings together.
#ifndef PTQ_OPS_STRIDES_H_
#define PTQ_OPS_STRIDES_H_

#include <inttypes.h>

#include "ops/checks.h"

namespace ptq {

// The output in rows of its last dimension, on which an operand moves along (step 1) or stays (0).
template <uint32_t kOperands>
class Strides {
 public:
  // Refuses shapes that do not broadcast to y's.
  ptq_status Broadcast(const Tensor* const (&operands)[kOperands], const Tensor& y) {
    for (const Tensor* operand : operands) rank_ = Max(rank_, operand->rank);
    PTQ_RETURN_IF_ERROR(CheckRank("output", y, rank_));
    for (uint32_t axis = 0; axis < rank_; ++axis) {
      uint32_t dim = 1;
      for (const Tensor* operand : operands) dim = Max(dim, Dim(*operand, axis));
      for (const Tensor* operand : operands) {
        const uint32_t own = Dim(*operand, axis);
        if (own != 1 && own != dim) {
          return Fail(PTQ_BAD_FILE,
                      "inputs: dimension %" PRIu32 " is %" PRIu32 " and %" PRIu32
                      "; they do not broadcast",
                      axis, own, dim);
        }
      }
      PTQ_RETURN_IF_ERROR(CheckDim("output", y, axis, dim));
      dims_[axis] = dim;
    }
    for (uint32_t i = 0; i < kOperands; ++i) {
      size_t stride = 1;
      for (uint32_t axis = rank_; axis-- > 0;) {
        const uint32_t own = Dim(*operands[i], axis);
        strides_[i][axis] = own == 1 ? 0 : stride;
        stride *= own;
      }
    }
    return PTQ_OK;
  }

  size_t width() const { return rank_ == 0 ? 1 : dims_[rank_ - 1]; }
  size_t step(uint32_t operand) const { return rank_ == 0 ? 0 : strides_[operand][rank_ - 1]; }

  // The first element of each operand for row `row` of the output.
  void Row(size_t row, size_t (&at)[kOperands]) const {
    for (size_t& place : at) place = 0;
    for (uint32_t axis = rank_ > 0 ? rank_ - 1 : 0; axis-- > 0; row /= dims_[axis]) {
      for (uint32_t i = 0; i < kOperands; ++i) at[i] += row % dims_[axis] * strides_[i][axis];
    }
  }

 private:
  // Of an operand counted in the output's rank; missing leading dimensions are 1.
  uint32_t Dim(const Tensor& tensor, uint32_t axis) const {
    const uint32_t missing = rank_ - tensor.rank;
    return axis < missing ? 1 : tensor.dims[axis - missing];
  }

  uint32_t rank_ = 0;
  size_t dims_[kMaxRank] = {};
  size_t strides_[kOperands][kMaxRank] = {};
};

}  // namespace ptq

#endif  // PTQ_OPS_STRIDES_H_
