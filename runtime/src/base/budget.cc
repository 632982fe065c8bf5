// The budget of each thread.
#include "base/budget.h"

namespace ptq {
namespace {

constexpr uint64_t kUnlimited = UINT64_MAX;
thread_local uint64_t t_left = kUnlimited;

}  // namespace

Budget::Budget(uint64_t bytes) : outer_(t_left) { t_left = bytes; }

Budget::~Budget() { t_left = outer_; }

void Budget::Extend(uint64_t bytes) {
  if (__builtin_add_overflow(t_left, bytes, &t_left)) t_left = kUnlimited;
}

bool Budget::Take(uint64_t bytes) {
  if (t_left == kUnlimited) return true;
  if (bytes > t_left) return false;
  t_left -= bytes;
  return true;
}

}  // namespace ptq
