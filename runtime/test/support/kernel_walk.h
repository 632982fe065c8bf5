// Walking a list of kernels: each one that this CPU can run.
#ifndef PTQ_TEST_SUPPORT_KERNEL_WALK_H_
#define PTQ_TEST_SUPPORT_KERNEL_WALK_H_

#include "base/cpu_features.h"
#include "kernels/kernel_list.h"
#include "test/support/check.h"

namespace ptq_test {

// Calls test(kernel), and holds the rule of a list: the last row runs everywhere.
template <typename Kernel, typename Test>
void WalkList(const char* list_name, const ptq::KernelList<Kernel>& list, Test test) {
  size_t ran = 0;
  for (const Kernel& kernel : list) {
    Row("%s: %s", list_name, kernel.name);
    if (!ptq::CanRun(kernel, ptq::DetectCpuFeatures())) continue;
    test(kernel);
    ++ran;
  }
  CHECK(ran > 0 && list[list.count - 1].requires_features == 0);
}

// The same for a list of kernels in half precision, which not every CPU can run.
template <typename Kernel, typename Test>
void WalkHalfList(const char* list_name, const ptq::KernelList<Kernel>& list, Test test) {
  const bool can = (ptq::DetectCpuFeatures() & ptq::kCpuFp16) != 0;
  size_t ran = 0;
  for (const Kernel& kernel : list) {
    Row("%s: %s", list_name, kernel.name);
    CHECK(strstr(kernel.name, "_f16_") != nullptr);
    CHECK((kernel.requires_features & ptq::kCpuFp16) != 0);
    if (!can) continue;
    test(kernel);
    ++ran;
  }
  CHECK(ran == list.count || !can);
  CHECK(list.count > 0 || !can);
}

}  // namespace ptq_test

#endif  // PTQ_TEST_SUPPORT_KERNEL_WALK_H_
