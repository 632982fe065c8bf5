// What callers of reduce kernels promise (contract.h), as checks.
#ifndef PTQ_KERNELS_REDUCE_CHECKS_H_
#define PTQ_KERNELS_REDUCE_CHECKS_H_

#include "kernels/checked.h"
#include "kernels/reduce/contract.h"

namespace ptq {

// Sums of floats are made of blocks; `block` is the longest.
template <typename Kernel>
void CheckBlock(const Kernel& kernel, Reduction reduction, size_t count, size_t block) {
  const bool sums = reduction == Reduction::kSum || reduction == Reduction::kSumOfSquares;
  PTQ_REQUIRE(!sums || count <= block);
}

template <typename Kernel, typename T, typename Sum>
void CheckColumns(const Kernel& kernel, const ReduceColumns<T, Sum>& p) {
  PTQ_REQUIRE(p.rows <= 1 || p.row_stride >= p.columns);
  PTQ_REQUIRE(IsValid(p.x, Extent(p.rows, p.columns, p.row_stride)));
  PTQ_REQUIRE(IsValid(p.sums, p.columns));
}

inline void CheckCall(const ReduceF32Kernel& kernel, const ReduceColumnsF32& p) {
  CheckColumns(kernel, p);
  CheckBlock(kernel, p.reduction, p.rows, kSumBlock);
}

inline void CheckCall(const ReduceF32Kernel& kernel, Reduction reduction, const float* x,
                      size_t count, float) {
  PTQ_REQUIRE(IsValid(x, count));
  CheckBlock(kernel, reduction, count, kRowBlock);
}

inline bool IsForInt8(Reduction reduction) {
  return reduction == Reduction::kSum || reduction == Reduction::kMax ||
         reduction == Reduction::kMin;
}

inline void CheckCall(const ReduceI8Kernel& kernel, const ReduceColumnsI8& p) {
  CheckColumns(kernel, p);
  PTQ_REQUIRE(IsForInt8(p.reduction));
}

inline void CheckCall(const ReduceI8Kernel& kernel, Reduction reduction, const int8_t* x,
                      size_t count, int32_t) {
  PTQ_REQUIRE(IsValid(x, count));
  PTQ_REQUIRE(IsForInt8(reduction));
}

}  // namespace ptq

#endif  // PTQ_KERNELS_REDUCE_CHECKS_H_
