// Blocks of anonymous memory, aligned to huge pages.
#include "base/pool.h"

#include <sys/mman.h>

#include "base/array.h"
#include "base/math.h"
#include "base/object.h"

namespace ptq {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kBlock = size_t{32} << 20;  // address space; memory only where it is touched

}  // namespace

Pool::~Pool() {
  while (blocks_ != nullptr) {
    Block* block = blocks_;
    blocks_ = block->next;
    munmap(block->begin, block->size);
    Delete(block);
  }
}

ptq_status Pool::OutOfMemory(size_t size) {
  return Fail(PTQ_OUT_OF_MEMORY, "cannot allocate %zu bytes", size);
}

ptq_status Pool::AddBlock(size_t size) {
  const size_t wanted = Max(kBlock, static_cast<size_t>(RoundUp(size, kHugePage)));
  void* mapped = mmap(nullptr, wanted + kHugePage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return OutOfMemory(size);
  // Cut both ends off, so that the block begins where a huge page does.
  uint8_t* base = static_cast<uint8_t*>(mapped);
  const size_t head = static_cast<size_t>(-reinterpret_cast<uintptr_t>(base)) % kHugePage;
  if (head != 0) munmap(base, head);
  if (head != kHugePage) munmap(base + head + wanted, kHugePage - head);
  Block* block = New<Block>();
  if (block == nullptr) {
    munmap(base + head, wanted);
    return OutOfMemory(sizeof(Block));
  }
#if defined(MADV_HUGEPAGE)
  madvise(base + head, wanted, MADV_HUGEPAGE);  // advice: where it is not taken, pages are small
#endif
  *block = {blocks_, base + head, wanted, 0};
  blocks_ = block;
  return PTQ_OK;
}

ptq_status Pool::AllocateBytes(size_t size, void** out) {
  const size_t needed = static_cast<size_t>(RoundUp(size + kReadSlack, kAlignment));
  if (blocks_ == nullptr || blocks_->size - blocks_->used < needed)
    PTQ_RETURN_IF_ERROR(AddBlock(needed));
  *out = blocks_->begin + blocks_->used;
  blocks_->used += needed;
  return PTQ_OK;
}

}  // namespace ptq
