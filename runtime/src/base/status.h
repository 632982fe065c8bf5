// Failure reporting without exceptions: a status code travels as the return value, its message
// waits in a buffer of the calling thread until ptq_last_error() asks for it.
#ifndef PTQ_BASE_STATUS_H_
#define PTQ_BASE_STATUS_H_

#include "ptq/ptq.h"

namespace ptq {

// Formats the message of this thread and returns `code`, so that a check reads `return
// Fail(PTQ_BAD_FILE, ...)`.
ptq_status Fail(ptq_status code, const char* format, ...) __attribute__((format(printf, 2, 3)));

// Puts "prefix" before the message of this thread: callers add where, the failing check said what.
void PrefixLastError(const char* format, ...) __attribute__((format(printf, 1, 2)));

const char* LastError();
void ClearLastError();

}  // namespace ptq

#define PTQ_RETURN_IF_ERROR(expression)            \
  do {                                             \
    const ptq_status ptq_status_ = (expression);   \
    if (ptq_status_ != PTQ_OK) return ptq_status_; \
  } while (0)

#endif  // PTQ_BASE_STATUS_H_
