// The shapes of computed places.
#include "ops/places.h"

#include <inttypes.h>

#include "ops/checks.h"

namespace ptq {

ptq_status Places::Prepare(const char* what, const Tensor& x, const Tensor& indices,
                           const Tensor& y) {
  const uint32_t last = indices.rank == 0 ? 0 : indices.dims[indices.rank - 1];
  if (last < 1 || last > x.rank) {
    return Fail(PTQ_BAD_FILE, "indices: rows of %" PRIu32 " are not of 1 ... %" PRIu32, last,
                x.rank);
  }
  count_ = last;
  is_wide_ = indices.dtype == kI64;
  rows_ = static_cast<size_t>(indices.elements) / count_;
  item_ = 1;
  for (uint32_t i = x.rank; i-- > 0;) {
    if (i < count_) {
      sizes_[i] = x.dims[i];
      strides_[i] = item_;
    }
    item_ *= x.dims[i];
  }
  item_ = strides_[count_ - 1];
  const uint32_t lead = indices.rank - 1;
  PTQ_RETURN_IF_ERROR(CheckRank(what, y, lead + x.rank - count_));
  for (uint32_t d = 0; d < y.rank; ++d) {
    const uint32_t dim = d < lead ? indices.dims[d] : x.dims[d - lead + count_];
    PTQ_RETURN_IF_ERROR(CheckDim(what, y, d, dim));
  }
  return PTQ_OK;
}

}  // namespace ptq
