// The per-thread error message behind ptq_last_error().
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace ptq {
namespace {

constexpr size_t kMessageSize = 512;
thread_local char t_message[kMessageSize];

}  // namespace

ptq_status Fail(ptq_status code, const char* format, ...) {
  // Formatted aside first: an argument may be the current message.
  char message[kMessageSize];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  memcpy(t_message, message, sizeof message);
  return code;
}

void PrefixLastError(const char* format, ...) {
  char prefix[160];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(prefix, sizeof prefix, format, arguments);
  va_end(arguments);
  char message[kMessageSize];
  snprintf(message, sizeof message, "%s%.340s", prefix, t_message);
  memcpy(t_message, message, sizeof message);
}

const char* LastError() { return t_message; }

void ClearLastError() { t_message[0] = '\0'; }

}  // namespace ptq
