// Gives AFL++ the coverage that libFuzzer's instrumentation counts, so that one build serves both:
// after each input the counters are added to AFL++'s map. The linker puts this between the driver
// and the target (--wrap).
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern "C" {

// Of AFL++'s run time (afl-compiler-rt.o): the map, and what numbers the places in it.
extern uint8_t* __afl_area_ptr;
void __sanitizer_cov_trace_pc_guard_init(uint32_t* start, uint32_t* stop);

int __real_LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
int __wrap_LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
}

namespace {

uint8_t* g_counters = nullptr;
size_t g_count = 0;
uint32_t* g_places = nullptr;  // of each counter in the map

}  // namespace

// Called by each instrumented file, always with all counters of the program.
extern "C" void __sanitizer_cov_8bit_counters_init(uint8_t* start, uint8_t* stop) {
  if (start == g_counters) return;
  g_counters = start;
  g_count = static_cast<size_t>(stop - start);
  g_places = static_cast<uint32_t*>(calloc(g_count, sizeof *g_places));
  if (g_places == nullptr) abort();
  __sanitizer_cov_trace_pc_guard_init(g_places, g_places + g_count);
}

__attribute__((no_sanitize("coverage"))) int __wrap_LLVMFuzzerTestOneInput(const uint8_t* data,
                                                                           size_t size) {
  memset(g_counters, 0, g_count);
  const int result = __real_LLVMFuzzerTestOneInput(data, size);
  for (size_t i = 0; i < g_count; ++i) {
    if (g_counters[i] != 0) __afl_area_ptr[g_places[i]] = g_counters[i];
  }
  return result;
}
