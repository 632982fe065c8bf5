// Contracts that run: in sanitizer builds (PTQ_CHECK_CONTRACTS) every call of a kernel first goes
// through CheckCall of its family (checks.h), which ends the program if the caller broke what
// contract.h asks for. In other builds nothing of this is compiled.
#ifndef PTQ_KERNELS_CHECKED_H_
#define PTQ_KERNELS_CHECKED_H_

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/math.h"
#include "numerics/requantize.h"
#if defined(__SANITIZE_ADDRESS__)
#define PTQ_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PTQ_ADDRESS_SANITIZER
#endif
#endif
#if defined(PTQ_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#endif

#define PTQ_REQUIRE(condition)                                            \
  do {                                                                    \
    if (!(condition)) ptq::EndForBrokenContract(kernel.name, #condition); \
  } while (0)

namespace ptq {

[[noreturn]] inline void EndForBrokenContract(const char* kernel, const char* condition) {
  fprintf(stderr, "the caller of %s breaks its contract: %s\n", kernel, condition);
  abort();
}

// True if `count` elements lie where their type may, and, as far as the address sanitizer knows,
// these and `slack` bytes behind them may be touched.
template <typename T>
bool IsValid(const T* data, size_t count, [[maybe_unused]] size_t slack = 0) {
  if (count == 0) return true;
  if (data == nullptr || reinterpret_cast<uintptr_t>(data) % alignof(T) != 0) return false;
#if defined(PTQ_ADDRESS_SANITIZER)
  void* begin = const_cast<void*>(static_cast<const void*>(data));
  return __asan_region_is_poisoned(begin, count * sizeof(T) + slack) == nullptr;
#else
  return true;
#endif
}

// The elements of `rows` rows of `columns` elements that lie `stride` elements apart.
inline size_t Extent(size_t rows, size_t columns, size_t stride) {
  return rows == 0 ? 0 : (rows - 1) * stride + columns;
}

inline bool IsRange(const OutputRange& range) {
  return range.lo <= range.hi && range.lo + static_cast<float>(range.zero_point) >= -128.0f &&
         range.hi + static_cast<float>(range.zero_point) <= 127.0f;
}

// True if all are numbers that an int32 sum can be multiplied by.
inline bool AreMultipliers(const float* multipliers, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (!(multipliers[i] >= 0.0f && multipliers[i] <= FLT_MAX)) return false;
  }
  return true;
}

// A kernel's function behind the checks of its family, with its row as `Row::kKernel`.
template <typename Row, typename Pointer, Pointer function>
struct Checked;
template <typename Row, typename Result, typename... Operands, Result (*function)(Operands...)>
struct Checked<Row, Result (*)(Operands...), function> {
  static Result Run(Operands... operands) {
    CheckCall(Row::kKernel, operands...);
    return function(operands...);
  }
};

}  // namespace ptq

#endif  // PTQ_KERNELS_CHECKED_H_
