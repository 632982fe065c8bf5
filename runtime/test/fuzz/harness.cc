// The fuzz targets' common part.
#include "test/fuzz/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>

#include "format/crc32.h"
#include "format/flat_file.h"
#include "ptq/ptq.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/allocator_interface.h>
#define PTQ_COUNTS_MEMORY 1
#endif
#endif

namespace ptq_fuzz {
namespace {

std::atomic<size_t> g_allowed{SIZE_MAX}, g_taken{0};

#if defined(PTQ_COUNTS_MEMORY)

void OnMalloc(const volatile void*, size_t size) {
  const size_t allowed = g_allowed.load(std::memory_order_relaxed);
  if (allowed == SIZE_MAX) return;
  if (g_taken.fetch_add(size) + size > allowed) {
    g_allowed.store(SIZE_MAX);
    fprintf(stderr, "%zu bytes more than %zu, of %zu allowed\n", size, g_taken.load() - size,
            allowed);
    Broken("allocates more than the file's stated need allows");
  }
}

void OnFree(const volatile void*) {}

void InstallHooks() {
  static const int installed = __sanitizer_install_malloc_and_free_hooks(OnMalloc, OnFree);
  if (installed == 0) Broken("no room for a malloc hook");
}

#else

void InstallHooks() {}

#endif

}  // namespace

Bytes::Bytes(const uint8_t* data, size_t size, size_t shift) : size_(size) {
  // A multiple of 64 and then the bytes up to the very end of the block.
  const size_t room = shift + size;
  if (posix_memalign(reinterpret_cast<void**>(&block_), ptq::kAlignment, room == 0 ? 1 : room) != 0)
    abort();
  data_ = block_ + shift;
  if (size != 0) memcpy(data_, data, size);
}

Bytes::~Bytes() { free(block_); }

void Bytes::Repair() {
  if (size_ < sizeof(ptq::FileHeader)) return;
  const uint64_t size = size_;
  memcpy(data_ + offsetof(ptq::FileHeader, file_size), &size, sizeof size);
  const uint32_t crc = ptq::Crc32(0, data_ + ptq::kCrcBegin, size_ - ptq::kCrcBegin);
  memcpy(data_ + offsetof(ptq::FileHeader, crc32), &crc, sizeof crc);
}

MemoryLimit::MemoryLimit(size_t bytes) {
  InstallHooks();
  g_taken.store(0);
  g_allowed.store(bytes);
}

MemoryLimit::~MemoryLimit() { g_allowed.store(SIZE_MAX); }

size_t AllowedMemory(const uint8_t* data, size_t size) {
  uint64_t arena = 0;
  for (size_t at = sizeof(ptq::FileHeader);
       at + sizeof(ptq::SectionEntry) <= size && at < sizeof(ptq::FileHeader) + 64 * 32;
       at += sizeof(ptq::SectionEntry)) {
    ptq::SectionEntry entry;
    memcpy(&entry, data + at, sizeof entry);
    if (memcmp(entry.kind, "PLAN", 4) != 0 || entry.offset > size - sizeof arena) continue;
    memcpy(&arena, data + entry.offset, sizeof arena);
    break;
  }
  if (arena > (uint64_t{1} << 49)) arena = 0;
  // Compressed weights count as what they stand for, at most four times the file. Arrays have slack
  // for alignment and for reads beyond their end.
  return static_cast<size_t>(ptq::MemoryLimit(5 * size, arena) * 5 / 4);
}

void Broken(const char* what) {
  fprintf(stderr, "BROKEN PROMISE: %s (last error: %s)\n", what, ptq_last_error());
  abort();
}

}  // namespace ptq_fuzz
