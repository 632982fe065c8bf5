// Header and section table of a flat file.
#include <inttypes.h>
#include <string.h>

#include "base/math.h"
#include "format/crc32.h"
#include "format/flat_file.h"
#include "format/utf8.h"

namespace ptq {
namespace {

struct SectionRule {
  char kind[5];
  uint32_t entry_size;  // of format 1.0; a newer minor version may append fields
  bool required;
};

// In the order of SectionId.
constexpr SectionRule kRules[kSectionIdCount] = {
    {"STRS", 1, true},
    {"QPRM", sizeof(QparamsEntry), true},
    {"SCAL", 4, true},
    {"TENS", sizeof(TensorEntry), true},
    {"OPRS", sizeof(OperatorEntry), true},
    {"INDX", 4, true},
    {"ATTR", 1, true},
    {"INPT", 4, true},
    {"OUTP", 4, true},
    {"PLAN", sizeof(PlanEntry), true},
    {"WGTS", 1, true},
    {"META", 1, false},
};

// `text` as printable ASCII, for messages about a file that is not to be believed.
void Printable(const char* text, size_t size, char* out) {
  size_t i = 0;
  for (; i < size && text[i] != '\0'; ++i)
    out[i] = text[i] >= 0x20 && text[i] < 0x7F ? text[i] : '?';
  out[i] = '\0';
}

// UTF-8, then nothing but NUL.
ptq_status CheckProducer(const char* text, size_t size) {
  const size_t length = strnlen(text, size);
  bool good =
      length < size && FindInvalidUtf8(reinterpret_cast<const uint8_t*>(text), length) == length;
  for (size_t i = length; i < size; ++i) good = good && text[i] == 0;
  return good ? PTQ_OK : Fail(PTQ_BAD_FILE, "producer: not UTF-8 padded with NUL");
}

ptq_status ReadHeader(const uint8_t* data, size_t size, FileHeader* header) {
  if (size < sizeof *header) {
    return Fail(PTQ_BAD_FILE, "file size: %zu bytes, less than the header's %zu (truncated?)", size,
                sizeof *header);
  }
  memcpy(header, data, sizeof *header);
  if (memcmp(header->magic, kMagic, sizeof kMagic) != 0) {
    return Fail(PTQ_BAD_FILE,
                "magic: %02x %02x %02x %02x ... is not that of a ptq flat file (50 54 51 4e ...)",
                data[0], data[1], data[2], data[3]);
  }
  char producer[sizeof header->producer + 1];
  Printable(header->producer, sizeof header->producer, producer);
  if (header->version_major != kVersionMajor) {
    return Fail(PTQ_BAD_FILE, "version: %u.%u written by '%s'; this runtime reads %u.x",
                header->version_major, header->version_minor, producer, kVersionMajor);
  }
  if (header->header_size != sizeof *header) {
    return Fail(PTQ_BAD_FILE, "header_size: %" PRIu32 " instead of %zu", header->header_size,
                sizeof *header);
  }
  if (header->file_size != size) {
    return Fail(PTQ_BAD_FILE,
                "file_size: the header says %" PRIu64 " bytes, the file has %zu (truncated?)",
                header->file_size, size);
  }
  const uint32_t crc = Crc32(0, data + kCrcBegin, size - kCrcBegin);
  if (header->crc32 != crc) {
    return Fail(PTQ_BAD_FILE,
                "crc32: the header says %08" PRIx32 ", the content has %08" PRIx32
                " (damaged file)",
                header->crc32, crc);
  }
  if (header->section_count < 1 || header->section_count > kMaxSections) {
    return Fail(PTQ_BAD_FILE, "section_count: %" PRIu32 " is not in 1 ... %" PRIu32,
                header->section_count, kMaxSections);
  }
  const uint32_t known_targets = kTargetArm64 | kTargetArmv7 | kTargetX86_64 | kTargetX86;
  if (header->targets == 0 ||
      (header->version_minor <= kVersionMinor && (header->targets & ~known_targets) != 0)) {
    return Fail(PTQ_BAD_FILE, "targets: 0x%" PRIx32 " is not a mask of 1, 2, 4, 8",
                header->targets);
  }
  if (header->reserved != 0)
    return Fail(PTQ_BAD_FILE, "header reserved: %" PRIu32 " instead of 0", header->reserved);
  return CheckProducer(header->producer, sizeof header->producer);
}

ptq_status CheckSection(const FileHeader& header, uint32_t index, const SectionEntry& entry,
                        const SectionRule* rule) {
  char kind[sizeof entry.kind + 1];
  Printable(entry.kind, sizeof entry.kind, kind);
  if ((entry.flags & ~kSectionRequired) != 0) {
    return Fail(PTQ_BAD_FILE, "section %" PRIu32 " '%s' flags: 0x%" PRIx32 " has unknown bits",
                index, kind, entry.flags);
  }
  const uint64_t table_end = sizeof(FileHeader) + header.section_count * sizeof(SectionEntry);
  if (entry.offset % kAlignment != 0 || entry.offset < table_end ||
      entry.offset > header.file_size) {
    return Fail(PTQ_BAD_FILE,
                "section %" PRIu32 " '%s' offset: %" PRIu64 " must be a multiple of 64 in %" PRIu64
                " ... %" PRIu64,
                index, kind, entry.offset, table_end, header.file_size);
  }
  if (entry.size > header.file_size - entry.offset) {
    return Fail(PTQ_BAD_FILE,
                "section %" PRIu32 " '%s' size: %" PRIu64 " bytes at %" PRIu64
                " go beyond the file's end %" PRIu64,
                index, kind, entry.size, entry.offset, header.file_size);
  }
  if (entry.entry_size != 1 &&
      entry.size != static_cast<uint64_t>(entry.count) * entry.entry_size) {
    return Fail(PTQ_BAD_FILE,
                "section %" PRIu32 " '%s' size: %" PRIu64 " bytes for %" PRIu32
                " entries of %" PRIu32,
                index, kind, entry.size, entry.count, entry.entry_size);
  }
  if (rule == nullptr) {
    if (entry.flags & kSectionRequired) {
      return Fail(PTQ_BAD_FILE,
                  "section %" PRIu32
                  " kind: required section '%s' is unknown to this runtime (format %u.%u, written "
                  "by '%.24s')",
                  index, kind, header.version_major, header.version_minor, header.producer);
    }
    return PTQ_OK;
  }
  const bool exact = rule->entry_size == 1 || header.version_minor <= kVersionMinor;
  if (exact ? entry.entry_size != rule->entry_size : entry.entry_size < rule->entry_size) {
    return Fail(PTQ_BAD_FILE,
                "section %" PRIu32 " '%s' entry_size: %" PRIu32 " instead of %" PRIu32, index, kind,
                entry.entry_size, rule->entry_size);
  }
  const uint64_t bytes = strcmp(rule->kind, "WGTS") == 0 ? 0 : entry.size;
  if (rule->entry_size == 1 && entry.count != bytes) {
    return Fail(PTQ_BAD_FILE, "section %" PRIu32 " '%s' count: %" PRIu32 " instead of %" PRIu64,
                index, kind, entry.count, bytes);
  }
  return PTQ_OK;
}

// Sections may lie in any order, but share no byte, and between them there are only zeros.
ptq_status CheckGaps(const uint8_t* data, const FileHeader& header, SectionEntry* entries) {
  for (uint32_t i = 1; i < header.section_count;
       ++i) {  // insertion sort by offset, then by size: at most 64
    const SectionEntry entry = entries[i];
    uint32_t j = i;
    for (; j > 0 && (entries[j - 1].offset > entry.offset ||
                     (entries[j - 1].offset == entry.offset && entries[j - 1].size > entry.size));
         --j) {
      entries[j] = entries[j - 1];
    }
    entries[j] = entry;
  }
  uint64_t end = sizeof(FileHeader) + header.section_count * sizeof(SectionEntry);
  for (uint32_t i = 0; i <= header.section_count; ++i) {
    const uint64_t begin = i < header.section_count ? entries[i].offset : header.file_size;
    if (begin < end) {
      char kind[sizeof entries[i].kind + 1];
      Printable(entries[i].kind, sizeof entries[i].kind, kind);
      return Fail(PTQ_BAD_FILE,
                  "section '%s' offset: %" PRIu64
                  " overlaps the section before it, which ends at %" PRIu64,
                  kind, begin, end);
    }
    for (uint64_t byte = end; byte < begin; ++byte) {
      if (data[byte] != 0) {
        return Fail(PTQ_BAD_FILE, "gap between sections: byte %" PRIu64 " is %u instead of 0", byte,
                    data[byte]);
      }
    }
    if (i < header.section_count) end = begin + entries[i].size;
  }
  return PTQ_OK;
}

}  // namespace

ptq_status ReadSections(const uint8_t* data, size_t size, Section sections[kSectionIdCount]) {
  FileHeader header;
  PTQ_RETURN_IF_ERROR(ReadHeader(data, size, &header));
  if (header.section_count * sizeof(SectionEntry) > size - sizeof header) {
    return Fail(PTQ_BAD_FILE,
                "section_count: a table of %" PRIu32 " entries does not fit in %zu bytes",
                header.section_count, size);
  }
  SectionEntry entries[kMaxSections];
  memcpy(entries, data + sizeof header, header.section_count * sizeof(SectionEntry));
  bool present[kSectionIdCount] = {};
  for (uint32_t i = 0; i < header.section_count; ++i) {
    for (uint32_t j = 0; j < i; ++j) {
      if (memcmp(entries[i].kind, entries[j].kind, 4) == 0) {
        return Fail(PTQ_BAD_FILE, "section %" PRIu32 " kind: the same as that of section %" PRIu32,
                    i, j);
      }
    }
    int id = 0;
    while (id < kSectionIdCount && memcmp(entries[i].kind, kRules[id].kind, 4) != 0) ++id;
    const bool known = id < kSectionIdCount;
    PTQ_RETURN_IF_ERROR(CheckSection(header, i, entries[i], known ? &kRules[id] : nullptr));
    if (!known) continue;
    present[id] = true;
    sections[id] = {data + entries[i].offset, static_cast<size_t>(entries[i].size),
                    entries[i].count, entries[i].entry_size};
  }
  for (int id = 0; id < kSectionIdCount; ++id) {
    if (kRules[id].required && !present[id]) {
      return Fail(PTQ_BAD_FILE, "section table: section '%s' is missing", kRules[id].kind);
    }
  }
  PTQ_RETURN_IF_ERROR(CheckGaps(data, header, entries));
  const Section& strings = sections[kStrs];
  if (strings.size != 0 && strings.data[strings.size - 1] != 0) {
    return Fail(PTQ_BAD_FILE, "section 'STRS': the last byte is %u instead of 0",
                strings.data[strings.size - 1]);
  }
  const size_t bad = FindInvalidUtf8(strings.data, strings.size);
  if (bad != strings.size) return Fail(PTQ_BAD_FILE, "section 'STRS': byte %zu is not UTF-8", bad);
  if (sections[kPlan].count != 1) {
    return Fail(PTQ_BAD_FILE, "section 'PLAN' count: %" PRIu32 " instead of 1",
                sections[kPlan].count);
  }
  return PTQ_OK;
}

const char* FindString(const Section& strings, uint32_t offset) {
  return offset < strings.size ? reinterpret_cast<const char*>(strings.data) + offset : nullptr;
}

}  // namespace ptq
