// A file mapped read-only: weights that are only read while packing cost no private memory.
#ifndef PTQ_FORMAT_MAPPED_FILE_H_
#define PTQ_FORMAT_MAPPED_FILE_H_

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

namespace ptq {

class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  ptq_status Open(const char* path);
  // Gives the pages back that were read so far; they come back from the file when read again.
  void DropPages() const;
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace ptq

#endif  // PTQ_FORMAT_MAPPED_FILE_H_
