// What the fuzz targets share: a file's bytes where a read beside them is seen, a header repaired
// so that the checks behind the checksum are reached, and a limit on memory.
#ifndef PTQ_TEST_FUZZ_HARNESS_H_
#define PTQ_TEST_FUZZ_HARNESS_H_

#include <stddef.h>
#include <stdint.h>

namespace ptq_fuzz {

// A copy of a file's bytes, exactly as long as they are: the address sanitizer sees a read beside
// it. `shift` 0 is 64-byte aligned, so that the loader works in place; others make it copy.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size, size_t shift);
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes();

  // Writes the file's size and checksum into the header.
  void Repair();

  uint8_t* data() { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t* block_;
  uint8_t* data_;
  size_t size_;
};

// From here to its end, memory allocated by this program may not exceed `bytes`: it aborts. Needs a
// sanitizer's allocator; without one nothing is counted.
class MemoryLimit {
 public:
  explicit MemoryLimit(size_t bytes);
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;
  ~MemoryLimit();
};

// What the format says that loading a file of this size and content may take at most, and the
// arena it states (0 where there is no such field).
size_t AllowedMemory(const uint8_t* data, size_t size);

// Ends the program with a message: the fuzzer keeps the input.
[[noreturn]] void Broken(const char* what);

}  // namespace ptq_fuzz

#endif  // PTQ_TEST_FUZZ_HARNESS_H_
