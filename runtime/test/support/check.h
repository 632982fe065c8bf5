// The test framework: CHECK macros that count, rows that name themselves, one main per test
// program.
#ifndef PTQ_TEST_SUPPORT_CHECK_H_
#define PTQ_TEST_SUPPORT_CHECK_H_

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ptq/ptq.h"

namespace ptq_test {

struct Counters {
  long checks = 0;
  long failures = 0;
  char row[160] = "";  // what is being tested now; printed with a failure
};

inline Counters& Count() {
  static Counters counters;
  return counters;
}

// Names the row of a table that the following checks belong to.
inline __attribute__((format(printf, 1, 2))) void Row(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(Count().row, sizeof Count().row, format, arguments);
  va_end(arguments);
}

inline bool Check(bool good, const char* text, const char* file, int line) {
  ++Count().checks;
  if (good) return true;
  if (++Count().failures <= 20)
    fprintf(stderr, "%s:%d: [%s] failed: %s (last error: %s)\n", file, line, Count().row, text,
            ptq_last_error());
  return false;
}

// Runs `body` with failures expected: true if it reported at least one. For tests of the
// comparators themselves.
template <typename Body>
bool Fails(Body body) {
  const Counters before = Count();
  Count().failures = 1000000;  // silent
  body();
  const bool failed = Count().failures > 1000000;
  Count() = before;
  return failed;
}

inline int Finish(const char* name) {
  printf("%s: %ld checks, %ld failures\n", name, Count().checks, Count().failures);
  return Count().failures == 0 && Count().checks > 0 ? 0 : 1;
}

}  // namespace ptq_test

#define CHECK(condition) ptq_test::Check((condition), #condition, __FILE__, __LINE__)
#define CHECK_OK(status) CHECK((status) == PTQ_OK)

#endif  // PTQ_TEST_SUPPORT_CHECK_H_
