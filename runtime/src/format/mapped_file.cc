// mmap of a whole file.
#include "format/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ptq {

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

void MappedFile::DropPages() const {
  // It is advice: where it is not taken, nothing is lost but memory.
  if (data_ != nullptr) madvise(const_cast<uint8_t*>(data_), size_, MADV_DONTNEED);
}

ptq_status MappedFile::Open(const char* path) {
  // Not to wait for a pipe's other end; what is no regular file is refused below.
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return Fail(PTQ_IO_ERROR, "cannot open %.200s: %s", path, strerror(errno));
  ptq_status status = PTQ_OK;
  struct stat info;
  if (fstat(fd, &info) != 0) {
    status = Fail(PTQ_IO_ERROR, "cannot examine %.200s: %s", path, strerror(errno));
  } else if (!S_ISREG(info.st_mode)) {
    status = Fail(PTQ_IO_ERROR, "%.200s is not a regular file", path);
  } else if (info.st_size == 0) {
    status = Fail(PTQ_BAD_FILE, "file size: 0 bytes");
  } else if (static_cast<uint64_t>(info.st_size) > SIZE_MAX / 2) {
    status = Fail(PTQ_OUT_OF_MEMORY, "file size: more than this CPU can address");
  } else {
    void* data = mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      status = Fail(PTQ_IO_ERROR, "cannot map %.200s: %s", path, strerror(errno));
    } else {
      data_ = static_cast<const uint8_t*>(data);
      size_ = static_cast<size_t>(info.st_size);
    }
  }
  close(fd);
  return status;
}

}  // namespace ptq
