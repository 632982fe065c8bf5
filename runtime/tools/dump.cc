// The dump of a flat file: the twin of ptq_core/flatfile/dump.py, held to it by a test.
#include "tools/dump.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

namespace ptq {
namespace {

constexpr uint32_t kShownScales = 4;

constexpr const char* kTargetNames[] = {"arm64", "armv7", "x86_64", "x86"};  // bit 0 ...

constexpr const char* kUnaryFunctions[] = {
    "sigmoid", "tanh",     "hard_sigmoid", "hard_swish", "leaky_relu", "elu",   "exp",
    "log",     "sqrt",     "abs",          "neg",        "reciprocal", "floor", "ceil",
    "round",   "softplus", "erf",          "silu",       "mish",       "gelu"};
static_assert(sizeof kUnaryFunctions / sizeof kUnaryFunctions[0] == kUnaryFunctionCount, "names");
constexpr const char* kReduceFunctions[] = {"mean", "sum", "max", "min", "prod", "l2"};
static_assert(sizeof kReduceFunctions / sizeof kReduceFunctions[0] == kReduceFunctionCount, "");
constexpr const char* kResizeModes[] = {"nearest", "linear"};
static_assert(sizeof kResizeModes / sizeof kResizeModes[0] == kResizeModeCount, "names");
constexpr const char* kCoordinates[] = {"half_pixel", "asymmetric", "align_corners",
                                        "pytorch_half_pixel"};
static_assert(sizeof kCoordinates / sizeof kCoordinates[0] == kResizeCoordinatesCount, "names");
constexpr const char* kRoundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
static_assert(sizeof kRoundings / sizeof kRoundings[0] == kResizeRoundingCount, "names");

enum FieldType : uint8_t { kEnd, kU32, kS32, kReal, kU32Array, kS32Array };

// A field of an operator's attributes. A clamp that bounds nothing is not shown.
struct Field {
  const char* name = nullptr;
  FieldType type = kEnd;
  const char* const* values = nullptr;  // names of the values
};

#define PTQ_CLAMP \
  {"lo", kReal}, {"hi", kReal}, {"q_min", kS32}, { "q_max", kS32 }
#define PTQ_WINDOW                                                                    \
  {"stride_h", kU32}, {"stride_w", kU32}, {"dilation_h", kU32}, {"dilation_w", kU32}, \
      {"pad_top", kU32}, {"pad_left", kU32}, {"pad_bottom", kU32}, {                  \
    "pad_right", kU32                                                                 \
  }

constexpr Field kConvFields[] = {PTQ_WINDOW, {"groups", kU32}, PTQ_CLAMP, {}};
constexpr Field kConvAddFields[] = {PTQ_WINDOW,
                                    {"groups", kU32},
                                    {"conv_lo", kReal},
                                    {"conv_hi", kReal},
                                    {"conv_q_min", kS32},
                                    {"conv_q_max", kS32},
                                    {"scale", kReal},
                                    {"zero_point", kS32},
                                    PTQ_CLAMP,
                                    {}};
constexpr Field kClampFields[] = {PTQ_CLAMP, {}};
constexpr Field kPoolFields[] = {{"kernel_h", kU32},          {"kernel_w", kU32}, PTQ_WINDOW,
                                 {"count_include_pad", kU32}, PTQ_CLAMP,          {}};
constexpr Field kConcatFields[] = {{"axis", kU32}, PTQ_CLAMP, {}};
constexpr Field kAxisFields[] = {{"axis", kU32}, {}};
constexpr Field kTransposeFields[] = {{"perm", kU32Array}, {}};
constexpr Field kPadFields[] = {
    {"before", kU32Array}, {"after", kU32Array}, {"value", kReal}, {"q_value", kS32}, {}};
constexpr Field kUnaryFields[] = {
    {"function", kU32, kUnaryFunctions}, {"alpha", kReal}, {"beta", kReal}, PTQ_CLAMP, {}};
constexpr Field kResizeFields[] = {{"mode", kU32, kResizeModes},
                                   {"coordinates", kU32, kCoordinates},
                                   {"rounding", kU32, kRoundings},
                                   {"scale_h", kReal},
                                   {"scale_w", kReal},
                                   PTQ_CLAMP,
                                   {}};
constexpr Field kSliceFields[] = {{"start", kS32Array}, {"step", kS32Array}, {}};
constexpr Field kReduceFields[] = {
    {"function", kU32, kReduceFunctions}, {"axes", kU32}, PTQ_CLAMP, {}};
constexpr Field kDilateFields[] = {{"step", kU32Array}, {"value", kReal}, {"q_value", kS32}, {}};
constexpr Field kArgMaxFields[] = {{"axis", kU32}, {"select_last", kU32}, {}};
constexpr Field kNoFields[] = {{}};

#undef PTQ_CLAMP
#undef PTQ_WINDOW

struct KindFields {
  uint16_t kind;
  const Field* fields;
};
constexpr KindFields kKindFields[] = {
    {kConv2d, kConvFields},        {kConv2dAdd, kConvAddFields},   {kFullyConnected, kClampFields},
    {kAdd, kClampFields},          {kSub, kClampFields},           {kMul, kClampFields},
    {kDiv, kClampFields},          {kMaximum, kClampFields},       {kMinimum, kClampFields},
    {kPow, kClampFields},          {kClamp, kClampFields},         {kMaxPool2d, kPoolFields},
    {kAveragePool2d, kPoolFields}, {kConcat, kConcatFields},       {kSoftmax, kAxisFields},
    {kGather, kAxisFields},        {kTranspose, kTransposeFields}, {kPad, kPadFields},
    {kUnary, kUnaryFields},        {kResize, kResizeFields},       {kSlice, kSliceFields},
    {kReduce, kReduceFields},      {kDilate, kDilateFields},       {kArgMax, kArgMaxFields},
};

const Field* FieldsOf(uint16_t kind) {
  for (const KindFields& row : kKindFields) {
    if (row.kind == kind) return row.fields;
  }
  return kNoFields;
}

void PrintReal(FILE* out, const uint8_t* data) {
  float value;
  memcpy(&value, data, sizeof value);
  fprintf(out, "%.9g", static_cast<double>(value));
}

void PrintInteger(FILE* out, const uint8_t* data, bool is_signed) {
  uint32_t value;
  memcpy(&value, data, sizeof value);
  if (is_signed) {
    fprintf(out, "%" PRId32, static_cast<int32_t>(value));
  } else {
    fprintf(out, "%" PRIu32, value);
  }
}

// Whether the field is a bound of the operator's own clamp, and bounds nothing.
bool IsOpenBound(const Field& field, const uint8_t* data) {
  float real;
  int32_t integer;
  memcpy(&real, data, sizeof real);
  memcpy(&integer, data, sizeof integer);
  if (strcmp(field.name, "lo") == 0) return isinf(real) && real < 0;
  if (strcmp(field.name, "hi") == 0) return isinf(real) && real > 0;
  if (strcmp(field.name, "q_min") == 0) return integer == -128;
  return strcmp(field.name, "q_max") == 0 && integer == 127;
}

void PrintAttributes(FILE* out, const Operator& op, uint32_t rank) {
  const uint8_t* data = static_cast<const uint8_t*>(op.attrs);
  for (const Field* field = FieldsOf(op.kind->id); field->type != kEnd; ++field) {
    const bool is_array = field->type == kU32Array || field->type == kS32Array;
    if (!IsOpenBound(*field, data)) {
      fprintf(out, "%s=", field->name);
      if (is_array) {
        fputc('[', out);
        for (uint32_t i = 0; i < rank; ++i) {
          if (i > 0) fputc(',', out);
          PrintInteger(out, data + i * sizeof(uint32_t), field->type == kS32Array);
        }
        fputc(']', out);
      } else if (field->values != nullptr) {
        uint32_t value;
        memcpy(&value, data, sizeof value);
        fputs(field->values[value], out);
      } else if (field->type == kReal) {
        PrintReal(out, data);
      } else {
        PrintInteger(out, data, field->type == kS32);
      }
      fputc(' ', out);
    }
    data += is_array ? kMaxRank * sizeof(uint32_t) : sizeof(uint32_t);
  }
}

void PrintIndices(FILE* out, const uint32_t* indices, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0) fputs(", ", out);
    if (indices[i] == kNone) {
      fputc('-', out);
    } else {
      fprintf(out, "%%%" PRIu32, indices[i]);
    }
  }
}

void PrintType(FILE* out, const Tensor& tensor) {
  fprintf(out, "%s[", DTypeName(tensor.dtype));
  for (uint32_t i = 0; i < tensor.rank; ++i)
    fprintf(out, "%s%" PRIu32, i > 0 ? "," : "", tensor.dims[i]);
  fputc(']', out);
}

void PrintQparams(FILE* out, const Tensor& tensor) {
  if (tensor.scales == nullptr) return;
  fputs(" scale=", out);
  for (uint32_t i = 0; i < tensor.scale_count && i < kShownScales; ++i)
    fprintf(out, "%s%.9g", i > 0 ? "," : "", static_cast<double>(tensor.scales[i]));
  if (tensor.scale_count > kShownScales)
    fprintf(out, ",\xE2\x80\xA6(%" PRIu32 ")", tensor.scale_count);
  fprintf(out, " zero_point=%" PRId32, tensor.zero_point);
  if (tensor.scale_count > 1) fprintf(out, " axis=%" PRId32, tensor.axis);
}

void PrintHeader(FILE* out, const FileHeader& header, const Section& meta) {
  fprintf(out, "flat file %u.%u by %s for ", header.version_major, header.version_minor,
          header.producer[0] != '\0' ? header.producer : "?");
  bool first = true;
  for (uint32_t bit = 0; bit < sizeof kTargetNames / sizeof kTargetNames[0]; ++bit) {
    if ((header.targets >> bit & 1) == 0) continue;
    fprintf(out, "%s%s", first ? "" : ", ", kTargetNames[bit]);
    first = false;
  }
  fputc('\n', out);
  fputs("meta ", out);
  if (meta.size == 0) fputs("{}", out);
  if (meta.size != 0) fwrite(meta.data, 1, meta.size, out);
  fputc('\n', out);
}

void PrintEdges(FILE* out, const char* label, const Array<uint32_t>& indices,
                const FlatFile& file) {
  for (const uint32_t index : indices) {
    fprintf(out, "%s %%%" PRIu32 " ", label, index);
    PrintType(out, file.tensors[index]);
    fprintf(out, " %s\n", file.tensors[index].name);
  }
}

}  // namespace

ptq_status DumpFile(const uint8_t* data, size_t size, const FlatFile& file, FILE* out) {
  FileHeader header;
  memcpy(&header, data, sizeof header);
  Section sections[kSectionIdCount] = {};
  PTQ_RETURN_IF_ERROR(ReadSections(data, size, sections));
  PrintHeader(out, header, sections[kMeta]);
  uint64_t constants = 0;
  for (const Tensor& tensor : file.tensors) constants += tensor.data != nullptr ? tensor.size : 0;
  fprintf(out, "arena %" PRIu64 " bytes, constants %" PRIu64 " bytes\n", file.arena_size,
          constants);
  PrintEdges(out, "input", file.inputs, file);
  PrintEdges(out, "output", file.outputs, file);
  for (size_t i = 0; i < file.operators.size(); ++i) {
    const Operator& op = file.operators[i];
    fprintf(out, "op %zu ", i);
    PrintIndices(out, op.outputs, op.output_count);
    fprintf(out, " = %s(", op.kind->name);
    PrintIndices(out, op.inputs, op.input_count);
    fputs(") ", out);
    PrintAttributes(out, op, op.inputs[0] == kNone ? 0 : file.tensors[op.inputs[0]].rank);
    fprintf(out, "%s\n", op.name);
  }
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    const Tensor& tensor = file.tensors[i];
    fprintf(out, "tensor %%%zu ", i);
    PrintType(out, tensor);
    if (tensor.data != nullptr) {
      fputs(" constant", out);
    } else {
      fprintf(out, " arena+%" PRIu64, tensor.offset);
    }
    PrintQparams(out, tensor);
    fprintf(out, " %s\n", tensor.name);
  }
  return PTQ_OK;
}

}  // namespace ptq
