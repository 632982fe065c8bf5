// The flat file's structures as they lie in the file (docs/flat_format.md). All fields are
// little-endian and naturally aligned; the runtime runs on little-endian CPUs only, so a structure
// is read by memcpy. The attributes of operators are in generated/operators.h.
#ifndef PTQ_FORMAT_LAYOUT_H_
#define PTQ_FORMAT_LAYOUT_H_

#include <stddef.h>
#include <stdint.h>

#include "generated/operators.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the flat file is read in place and needs a little-endian CPU"
#endif

namespace ptq {

constexpr uint8_t kMagic[8] = {0x50, 0x54, 0x51, 0x4E, 0x42, 0x0D, 0x0A, 0x1A};
constexpr uint16_t kVersionMajor = 1;
constexpr uint16_t kVersionMinor = 5;  // the newest that this runtime knows all of
constexpr uint32_t kMaxSections = 64;
constexpr uint32_t kSectionRequired = 1;
constexpr uint32_t kNone = 0xFFFFFFFF;  // absent qparams, absent optional input
constexpr size_t kMaxRank = 8;
constexpr size_t kCrcBegin = 28;  // first byte that the checksum covers

enum Target : uint32_t { kTargetArm64 = 1, kTargetArmv7 = 2, kTargetX86_64 = 4, kTargetX86 = 8 };
enum DType : uint8_t {
  kF32 = 1,
  kI8 = 2,
  kI32 = 3,
  kI16 = 4,
  kF16 = 5,
  kI64 = 6,
  kU8 = 7,
  kBool = 8,
  kDTypeEnd
};
enum Storage : uint8_t { kArena = 1, kConstant = 2 };

struct FileHeader {
  uint8_t magic[8];
  uint16_t version_major;
  uint16_t version_minor;
  uint32_t header_size;
  uint64_t file_size;
  uint32_t crc32;
  uint32_t section_count;
  uint32_t targets;
  uint32_t reserved;
  char producer[24];
};
static_assert(sizeof(FileHeader) == 64, "header");

struct SectionEntry {
  char kind[4];
  uint32_t flags;
  uint64_t offset;
  uint64_t size;
  uint32_t count;
  uint32_t entry_size;
};
static_assert(sizeof(SectionEntry) == 32, "section table entry");

struct QparamsEntry {
  uint32_t scale_begin;
  uint32_t scale_count;
  int32_t zero_point;
  int32_t axis;
};
static_assert(sizeof(QparamsEntry) == 16, "QPRM entry");

struct TensorEntry {
  uint32_t name;
  uint8_t dtype;
  uint8_t rank;
  uint8_t storage;
  uint8_t reserved;
  uint32_t qparams;
  uint32_t reserved2;
  uint64_t offset;
  uint64_t size;
  uint32_t dims[8];
};
static_assert(sizeof(TensorEntry) == 64, "TENS entry");

struct OperatorEntry {
  uint16_t kind;
  uint16_t flags;
  uint32_t name;
  uint32_t index_begin;
  uint16_t input_count;
  uint16_t output_count;
  uint32_t attr_begin;
  uint32_t attr_size;
  uint32_t reserved[2];
};
static_assert(sizeof(OperatorEntry) == 32, "OPRS entry");

struct PlanEntry {
  uint64_t arena_size;
  uint32_t alignment;
  uint32_t reserved;
};
static_assert(sizeof(PlanEntry) == 16, "PLAN entry");

}  // namespace ptq

#endif  // PTQ_FORMAT_LAYOUT_H_
