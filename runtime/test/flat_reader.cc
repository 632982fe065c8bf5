// What the C++ reader says of many files, for tests that compare it with the Python reader's
// answer: reads `u64 size, bytes` from stdin again and again, and answers each with `u32 status,
// u64 length, text`, the text being the file's dump, or the message why it was refused.
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu_features.h"
#include "program/program.h"
#include "test/fuzz/harness.h"
#include "test/support/list.h"
#include "tools/dump.h"

namespace {

bool Read(void* data, size_t size) { return fread(data, 1, size, stdin) == size; }

void Answer(uint32_t status, const char* text, uint64_t length) {
  fwrite(&status, sizeof status, 1, stdout);
  fwrite(&length, sizeof length, 1, stdout);
  fwrite(text, 1, static_cast<size_t>(length), stdout);
  fflush(stdout);
}

void AnswerFor(const ptq_test::List<uint8_t>& bytes) {
  ptq_fuzz::Bytes file(bytes.data(), bytes.size(), 0);
  ptq_program program;
  ptq::ClearLastError();
  const ptq_status status = program.LoadMemory(file.data(), file.size(), ptq::DetectCpuFeatures());
  if (status != PTQ_OK) {
    Answer(status, ptq::LastError(), strlen(ptq::LastError()));
    return;
  }
  char* text = nullptr;
  size_t length = 0;
  FILE* out = open_memstream(&text, &length);
  const ptq_status dumped = ptq::DumpFile(file.data(), file.size(), program.file, out);
  fclose(out);
  Answer(dumped, dumped == PTQ_OK ? text : ptq::LastError(),
         dumped == PTQ_OK ? length : strlen(ptq::LastError()));
  free(text);
}

}  // namespace

int main() {
  ptq_test::List<uint8_t> bytes;
  for (uint64_t size; Read(&size, sizeof size);) {
    bytes.Resize(static_cast<size_t>(size));
    if (!Read(bytes.data(), bytes.size())) return 2;
    AnswerFor(bytes);
  }
  return 0;
}
