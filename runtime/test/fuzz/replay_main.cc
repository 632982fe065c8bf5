// Without a fuzzing engine: gives the target the files that are named, or all files of the folders
// that are named; `--flips FILE` gives it FILE's every truncation, and every byte with
// each of its bits and all of them flipped.
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "test/support/list.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using ptq_test::List;

bool ReadFile(const char* path, List<uint8_t>* bytes) {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) {
    perror(path);
    return false;
  }
  uint8_t block[4096];
  for (size_t count; (count = fread(block, 1, sizeof block, file)) > 0;)
    bytes->Append(block, count);
  fclose(file);
  return true;
}

// How many inputs were given; -1: a file could not be read.
long Replay(const char* path) {
  struct stat info;
  if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
    DIR* folder = opendir(path);
    long total = 0;
    for (dirent* entry; folder != nullptr && total >= 0 && (entry = readdir(folder)) != nullptr;) {
      char name[4096];
      snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
      if (entry->d_name[0] == '.' || stat(name, &info) != 0 || !S_ISREG(info.st_mode)) continue;
      const long count = Replay(name);
      total = count < 0 ? count : total + count;
    }
    if (folder != nullptr) closedir(folder);
    return total;
  }
  List<uint8_t> bytes;
  if (!ReadFile(path, &bytes)) return -1;
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  return 1;
}

long ReplayFlips(const char* path) {
  List<uint8_t> bytes;
  if (!ReadFile(path, &bytes)) return -1;
  long count = 0;
  for (size_t size = 0; size < bytes.size(); ++size, ++count)
    LLVMFuzzerTestOneInput(bytes.data(), size);
  const uint8_t masks[] = {1, 2, 4, 8, 16, 32, 64, 128, 255};
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (uint8_t mask : masks) {
      bytes[i] ^= mask;
      LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
      bytes[i] ^= mask;
      ++count;
    }
  }
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  long total = 0;
  for (int i = 1; i < argc; ++i) {
    const bool flips = strcmp(argv[i], "--flips") == 0 && i + 1 < argc;
    const long count = flips ? ReplayFlips(argv[++i]) : Replay(argv[i]);
    if (count < 0) return 2;
    total += count;
  }
  printf("%ld inputs, none broke anything\n", total);
  return total > 0 ? 0 : 2;
}
