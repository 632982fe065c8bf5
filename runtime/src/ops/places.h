// Places in a tensor that are computed: rows of indices into its first dimensions, checked when
// they are used.
#ifndef PTQ_OPS_PLACES_H_
#define PTQ_OPS_PLACES_H_

#include "ops/op.h"

namespace ptq {

inline constexpr char kNoSuchPlace[] = "an index does not exist";

class Places {
 public:
  // Refuses indices that are no rows of x's places, and a `y`, called `what`, that has not an item
  // for each row.
  ptq_status Prepare(const char* what, const Tensor& x, const Tensor& indices, const Tensor& y);

  size_t rows() const { return rows_; }
  size_t item() const { return item_; }  // elements of x behind a place

  // The element of x where the item of row `row` begins; false if there is no such place.
  bool Find(const void* indices, size_t row, size_t* at) const {
    *at = 0;
    for (uint32_t i = 0; i < count_; ++i) {
      int64_t index = is_wide_ ? static_cast<const int64_t*>(indices)[row * count_ + i]
                               : static_cast<const int32_t*>(indices)[row * count_ + i];
      if (index < -sizes_[i] || index >= sizes_[i]) return false;
      if (index < 0) index += sizes_[i];
      *at += static_cast<size_t>(index) * strides_[i];
    }
    return true;
  }

 private:
  uint32_t count_ = 0;
  bool is_wide_ = false;
  size_t rows_ = 0, item_ = 0;
  int64_t sizes_[kMaxRank] = {};
  size_t strides_[kMaxRank] = {};
};

}  // namespace ptq

#endif  // PTQ_OPS_PLACES_H_
