// Walking a list of kernels: each one that this CPU can run.
#ifndef PTQ_TEST_SUPPORT_KERNEL_WALK_H_
#define PTQ_TEST_SUPPORT_KERNEL_WALK_H_

#include "base/cpu_features.h"
#include "test/support/check.h"

namespace ptq_test {

// Calls test(kernel), and holds the rules of a list: names end with the ISA, the last row runs
// everywhere.
template <typename Kernel, typename Test>
void WalkList(const char* list_name, const Kernel* list, size_t count, Test test) {
  size_t ran = 0;
  for (size_t i = 0; i < count; ++i) {
    Row("%s: %s", list_name, list[i].name);
    CHECK(strstr(list[i].name, "__") != nullptr);
    if ((list[i].requires_features & ~ptq::DetectCpuFeatures()) != 0) continue;
    test(list[i]);
    ++ran;
  }
  CHECK(count > 0 && ran > 0 && list[count - 1].requires_features == 0);
}

// The same for a list of kernels in half precision, which not every CPU can run.
template <typename Kernel, typename Test>
void WalkHalfList(const char* list_name, const Kernel* list, size_t count, Test test) {
  const bool can = (ptq::DetectCpuFeatures() & ptq::kCpuFp16) != 0;
  size_t ran = 0;
  for (size_t i = 0; i < count; ++i) {
    Row("%s: %s", list_name, list[i].name);
    CHECK(strstr(list[i].name, "_f16_") != nullptr);
    CHECK((list[i].requires_features & ptq::kCpuFp16) != 0);
    if (!can) continue;
    test(list[i]);
    ++ran;
  }
  CHECK(ran == count || !can);
  CHECK(count > 0 || !can);
}

}  // namespace ptq_test

#endif  // PTQ_TEST_SUPPORT_KERNEL_WALK_H_
