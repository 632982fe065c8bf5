// Blocks of anonymous memory, aligned to huge pages.
#include "base/pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/array.h"
#include "base/budget.h"
#include "base/math.h"
#include "base/object.h"

namespace ptq {
namespace {

constexpr size_t kPage = 65536;  // the largest that is not huge

#if defined(__SANITIZE_ADDRESS__)
#define PTQ_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PTQ_ADDRESS_SANITIZER 1
#endif
#endif

// Map: `size` bytes of zeros, or null; `size` is a multiple of a page.
#if defined(PTQ_ADDRESS_SANITIZER)

// Each piece from the heap, so that the sanitizer sees what lies beside it.
constexpr bool kBlockPerPiece = true;

uint8_t* Map(size_t size) {
  void* block = aligned_alloc(kAlignment, size);
  return block == nullptr ? nullptr : static_cast<uint8_t*>(memset(block, 0, size));
}

void Unmap(uint8_t* block, size_t) { free(block); }

#else

constexpr bool kBlockPerPiece = false;
constexpr size_t kHugePage = size_t{2} << 20;

uint8_t* Map(size_t size) {
  void* mapped =
      mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  // Cut both ends off, so that the block begins where a huge page does.
  uint8_t* base = static_cast<uint8_t*>(mapped);
  const size_t head = static_cast<size_t>(-reinterpret_cast<uintptr_t>(base)) % kHugePage;
  if (head != 0) munmap(base, head);
  munmap(base + head + size, kHugePage - head);
#if defined(MADV_HUGEPAGE)
  madvise(base + head, size, MADV_HUGEPAGE);  // advice: where it is not taken, pages are small
#endif
  return base + head;
}

void Unmap(uint8_t* block, size_t size) { munmap(block, size); }

#endif

}  // namespace

Pool::~Pool() {
  while (blocks_ != nullptr) {
    Block* block = blocks_;
    blocks_ = block->next;
    Unmap(block->begin, block->size);
    Delete(block);
  }
}

ptq_status Pool::OutOfMemory(size_t size) {
  return Fail(PTQ_OUT_OF_MEMORY, "cannot allocate %zu bytes", size);
}

ptq_status Pool::AddBlock(size_t size) {
  const size_t wanted =
      kBlockPerPiece ? size : static_cast<size_t>(RoundUp(Max(block_, size), kPage));
  Block* block = New<Block>();
  uint8_t* begin = block == nullptr ? nullptr : Map(wanted);
  if (begin == nullptr) {
    Delete(block);
    return OutOfMemory(size);
  }
  *block = {blocks_, begin, wanted, 0};
  blocks_ = block;
  return PTQ_OK;
}

ptq_status Pool::AllocateBytes(size_t size, void** out) {
  const size_t needed = static_cast<size_t>(RoundUp(size + kReadSlack, kAlignment));
  if (!Budget::Take(needed)) return OutOfMemory(size);
  if (kBlockPerPiece || blocks_ == nullptr || blocks_->size - blocks_->used < needed)
    PTQ_RETURN_IF_ERROR(AddBlock(needed));
  *out = blocks_->begin + blocks_->used;
  blocks_->used += needed;
  return PTQ_OK;
}

}  // namespace ptq
