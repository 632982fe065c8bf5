// Tests of base/, format/crc32, format/utf8, the op tables, the thread pool.
#include <math.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cpu_features.h"
#include "format/crc32.h"
#include "format/op_kinds.h"
#include "format/utf8.h"
#include "kernels/crc32/contract.h"
#include "ops/registry.h"
#include "program/thread_pool.h"
#include "test/support/compare.h"
#include "test/support/kernel_walk.h"
#include "test/support/random.h"

namespace {

using namespace ptq_test;

// Every kernel against the bit-by-bit definition, for sizes around each one's steps and any start.
void TestCrc32Kernel(const ptq::Crc32Kernel& kernel) {
  ptq_test::Random random(3);
  const ptq_test::List<int8_t> bytes = random.Int8s(700);
  const uint8_t* data = reinterpret_cast<const uint8_t*>(bytes.data());
  for (size_t size = 0; size <= 650; size += size < 300 ? 1 : 13) {
    const uint32_t state = static_cast<uint32_t>(random.Next());
    const size_t begin = size % 17;
    uint32_t expected = state;
    for (size_t i = begin; i < begin + size; ++i) {
      expected ^= data[i];
      for (int bit = 0; bit < 8; ++bit)
        expected = (expected >> 1) ^ ((expected & 1) ? 0xEDB88320 : 0);
    }
    CHECK(kernel.run(state, data + begin, size) == expected);
  }
}

void TestCrc32() {
  ptq_test::WalkList("crc32", ptq::kCrc32Kernels, TestCrc32Kernel);
  CHECK(ptq::Crc32(0, "", 0) == 0);
  CHECK(ptq::Crc32(0, "123456789", 9) == 0xCBF43926);  // the check value of this CRC
  const char text[] = "The quick brown fox jumps over the lazy dog";
  const size_t size = sizeof text - 1;
  CHECK(ptq::Crc32(0, text, size) == 0x414FA339);
  for (size_t split = 0; split <= size; ++split) {
    CHECK(ptq::Crc32(ptq::Crc32(0, text, split), text + split, size - split) == 0x414FA339);
  }
}

void TestUtf8() {
  struct {
    const char* text;
    size_t first_bad;
  } rows[] = {
      {"plain", 5},
      {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9},
      {"a\x80", 1},
      {"\xC0\xAF", 0},
      {"\xE0\x80\x80", 0},
      {"\xED\xA0\x80", 0},
      {"\xF4\x90\x80\x80", 0},
      {"ab\xE2\x82", 2},
      {"\xF0\x8F\xBF\xBF", 0},
      {"\xF5\x80\x80\x80", 0},
  };
  for (const auto& row : rows) {
    CHECK(ptq::FindInvalidUtf8(reinterpret_cast<const uint8_t*>(row.text), strlen(row.text)) ==
          row.first_bad);
  }
}

void TestCpuLevels() {
  uint32_t features = 99;
  CHECK_OK(ptq::ResolveCpuFeatures(nullptr, ptq::kCpuNeon, &features));
  CHECK(features == ptq::kCpuNeon);
  CHECK_OK(ptq::ResolveCpuFeatures("", ptq::kCpuAvx2, &features));
  CHECK(features == ptq::kCpuAvx2);
  CHECK_OK(ptq::ResolveCpuFeatures("scalar", ptq::kCpuAvx2, &features));
  CHECK(features == ptq::kCpuScalar);
  CHECK(ptq::ResolveCpuFeatures("i8mm", ptq::kCpuNeon | ptq::kCpuDotprod, &features) ==
        PTQ_UNSUPPORTED);
  CHECK(ptq::ResolveCpuFeatures("quantum", ptq::kCpuNeon, &features) == PTQ_INVALID_ARGUMENT);
  CHECK(strstr(ptq_last_error(), "quantum") != nullptr);
  char text[64];
  ptq::FormatCpuFeatures(ptq::kCpuNeon | ptq::kCpuDotprod, text, sizeof text);
  CHECK(strcmp(text, "scalar neon dotprod") == 0);
  // Neither of AVX-VNNI and AVX-512 VNNI implies the other.
  CHECK(ptq::ResolveCpuFeatures("avxvnni", ptq::kCpuAvx2 | ptq::kCpuAvx512Vnni, &features) ==
        PTQ_UNSUPPORTED);
  const uint32_t amx = ptq::kCpuAvx2 | ptq::kCpuAvx512Vnni | ptq::kCpuAmxInt8;
  CHECK_OK(ptq::ResolveCpuFeatures("amx", amx | ptq::kCpuAvxVnni, &features));
  CHECK(features == amx);
  CHECK_OK(ptq::ResolveCpuFeatures("avx512vnni", amx, &features));
  CHECK((features & ptq::kCpuAmxInt8) == 0);
  ptq::FormatCpuFeatures(amx, text, sizeof text);
  CHECK(strcmp(text, "scalar avx2 avx512vnni amx") == 0);
#if defined(__aarch64__)
  CHECK((ptq::DetectCpuFeatures() & ptq::kCpuNeon) != 0);
#endif
}

void TestArray() {
  ptq::Array<int32_t> array;
  CHECK_OK(array.Allocate(100));
  CHECK(reinterpret_cast<uintptr_t>(array.data()) % 64 == 0);
  bool zero = true;
  for (int32_t value : array) zero = zero && value == 0;
  CHECK(zero);
  CHECK(array.Allocate(SIZE_MAX / 4) == PTQ_OUT_OF_MEMORY);
  CHECK(array.Allocate(SIZE_MAX) == PTQ_OUT_OF_MEMORY);
  CHECK(array.size() == 100);  // a failure leaves it as it was
}

void TestThreadPool() {
  for (size_t threads : {1, 2, 4, 7}) {
    ptq::ThreadPool pool;
    CHECK_OK(pool.Start(threads));
    CHECK(pool.thread_count() == threads);
    for (size_t count : {0, 1, 2, 3, 5, 64, 1000}) {
      for (size_t grain : {0, 1, 10, 10000}) {
        List<int> visits(count);
        auto body = [&](size_t begin, size_t end, size_t thread) {
          for (size_t i = begin; i < end; ++i) visits[i] += thread < threads ? 1 : 100;
        };
        pool.ParallelFor(count, grain, body);
        bool once = true;
        for (int visit : visits) once = once && visit == 1;
        CHECK(once);
      }
    }
    size_t total = 0;
    for (int round = 0; round < 2000;
         ++round) {  // back-to-back jobs: no lost wake-up, no early return
      List<size_t> sums(threads);
      auto body = [&](size_t begin, size_t end, size_t thread) { sums[thread] += end - begin; };
      pool.ParallelFor(threads * 3, 1, body);
      for (size_t sum : sums) total += sum;
      if (round % 500 == 0) usleep(2000);  // the workers fall asleep
    }
    CHECK(total == 2000 * threads * 3);
  }
}

// What `child` does in a forked process; true if it ends with true within ten seconds.
template <typename F>
bool InChild(F child) {
  const pid_t id = fork();
  if (id == 0) {
    alarm(10);
    _exit(child() ? 0 : 1);
  }
  int status = -1;
  return id > 0 && waitpid(id, &status, 0) == id && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void TestForkedPool() {
  for (size_t threads : {1, 3}) {
    ptq::ThreadPool pool;
    CHECK_OK(pool.Start(threads));
    auto adds_up = [&] {
      List<size_t> sums(threads);
      auto body = [&](size_t begin, size_t end, size_t thread) { sums[thread] += end - begin; };
      pool.ParallelFor(300, 1, body);
      size_t total = 0;
      for (size_t sum : sums) total += sum;
      return total == 300;
    };
    auto runs = [&] { return pool.ReviveAfterFork() == PTQ_OK && adds_up(); };
    CHECK(adds_up());
    for (useconds_t pause : {0, 5000}) {  // the workers spin, or sleep
      usleep(pause);
      CHECK(InChild(runs));
      CHECK(InChild([&] { return runs() && InChild(runs) && runs(); }));
      CHECK(InChild([&] {
        pool.~ThreadPool();
        return true;
      }));
      CHECK(adds_up());  // the parent goes on
    }
  }
}

void TestForkedPoolStaysOnItsCpus() {
  cpu_set_t before;
  CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
  int32_t last = CPU_SETSIZE - 1;
  while (!CPU_ISSET(static_cast<size_t>(last), &before)) --last;
  ptq::ThreadPool pool;
  CHECK_OK(pool.Start(2));
  CHECK_OK(pool.Pin(&last, 1));
  CHECK(sched_setaffinity(0, sizeof before, &before) == 0);  // only the worker is kept
  const auto stays_on = [&](int32_t cpu) {
    bool there = true;
    auto body = [&](size_t, size_t, size_t thread) {
      if (thread == 1 && sched_getcpu() != cpu) there = false;
    };
    for (int round = 0; round < 100; ++round) pool.ParallelFor(200, 1, body);
    return there;
  };
  CHECK(InChild([&] { return pool.ReviveAfterFork() == PTQ_OK && stays_on(last); }));
  int32_t first = 0;
  while (!CPU_ISSET(static_cast<size_t>(first), &before)) ++first;
  CHECK(InChild([&] { return pool.Pin(&first, 1) == PTQ_OK && stays_on(first); }));
  CHECK(stays_on(last));  // the parent's worker was left alone
}

void TestPinnedThreads() {
  cpu_set_t before;
  CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
  int32_t first = 0;
  while (!CPU_ISSET(static_cast<size_t>(first), &before)) ++first;
  {
    ptq::ThreadPool pool;
    CHECK_OK(pool.Start(3));
    const int32_t none[] = {first, 1023};
    CHECK(pool.Pin(none, 2) == PTQ_INVALID_ARGUMENT);
    CHECK_OK(pool.Pin(&first, 1));
    List<int> elsewhere(300);
    auto body = [&](size_t begin, size_t end, size_t) {
      for (size_t i = begin; i < end; ++i) elsewhere[i] = sched_getcpu() != first;
    };
    pool.ParallelFor(elsewhere.size(), 1, body);
    int count = 0;
    for (int one : elsewhere) count += one;
    CHECK(count == 0);
  }
  cpu_set_t after;
  CHECK(sched_getaffinity(0, sizeof after, &after) == 0 && CPU_EQUAL(&before, &after));
  CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
}

void TestOpTables() {
  for (size_t i = 0; i < ptq::kOpKindCount; ++i) {
    CHECK(ptq::kOpKinds[i].id == i + 1);
    CHECK(ptq::FindOpImplementation(ptq::kOpKinds[i].id) != nullptr);
  }
  CHECK(ptq::FindOpKind(0) == nullptr && ptq::FindOpKind(99) == nullptr);
}

// The comparators must be able to fail.
void TestComparators() {
  const int8_t a[] = {1, 2, 3}, b[] = {1, 2, 4};
  CHECK(!Fails([&] { SameBytes(a, a, 3, "same"); }));
  CHECK(Fails([&] { SameBytes(a, b, 3, "different"); }));
  const float zero = 0.0f, minus_zero = -0.0f;
  CHECK(Fails([&] { SameBytes(&zero, &minus_zero, 1, "signed zero"); }));
  const double expected = 1.0, magnitude = 1.0;
  const float near = 1.0f + 0x1p-21f, far = 1.0f + 0x1p-20f, nan = NAN;
  CHECK(!Fails([&] { WithinBound(&near, &expected, &magnitude, 1, 1, "near"); }));
  CHECK(Fails([&] { WithinBound(&far, &expected, &magnitude, 1, 1, "far"); }));
  CHECK(Fails([&] { WithinBound(&nan, &expected, &magnitude, 1, 1, "NaN"); }));
  CHECK(Fails([] { CHECK(1 == 2); }));
}

void TestApiArguments() {
  ptq_program* program = nullptr;
  CHECK(ptq_program_load(nullptr, &program) == PTQ_INVALID_ARGUMENT);
  CHECK(ptq_program_load("/nonexistent/file.nb", &program) == PTQ_IO_ERROR);
  CHECK(ptq_program_load("/", &program) == PTQ_IO_ERROR);
  CHECK(ptq_program_from_memory(nullptr, 0, &program) == PTQ_INVALID_ARGUMENT);
  CHECK(ptq_program_load("x", nullptr) == PTQ_INVALID_ARGUMENT);
  CHECK(program == nullptr);
  CHECK(ptq_run(nullptr) == PTQ_INVALID_ARGUMENT);
  ptq_program_destroy(nullptr);
  ptq_context_destroy(nullptr);
  CHECK(ptq_context_input(nullptr, 0) == nullptr && ptq_context_output(nullptr, 0) == nullptr);
  CHECK(strcmp(ptq_version(), "0.2.0") == 0);
  CHECK(strstr(ptq_cpu_features(), "scalar") == ptq_cpu_features());
}

}  // namespace

int main() {
  TestCrc32();
  TestUtf8();
  TestCpuLevels();
  TestArray();
  TestThreadPool();
  TestForkedPool();
  TestForkedPoolStaysOnItsCpus();
  TestPinnedThreads();
  TestOpTables();
  TestComparators();
  TestApiArguments();
  return Finish("base_test");
}
