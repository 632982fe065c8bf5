// How much memory a piece of work on this thread may take. A file is not to be believed: what
// loading it takes is bounded by its size and its arena, however its tables multiply each other.
// Array, Pool and New count what they allocate here.
#ifndef PTQ_BASE_BUDGET_H_
#define PTQ_BASE_BUDGET_H_

#include <stdint.h>

namespace ptq {

class Budget {
 public:
  // From here to its end, allocations of this thread may sum up to `bytes`, freed or not.
  explicit Budget(uint64_t bytes);
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;
  ~Budget();

  void Extend(uint64_t bytes);

  // False if `bytes` more are not allowed. Always true without a Budget.
  static bool Take(uint64_t bytes);

 private:
  const uint64_t outer_;
};

}  // namespace ptq

#endif  // PTQ_BASE_BUDGET_H_
