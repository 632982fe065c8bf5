// Writes small flat files for tests.
#include "test/support/model_builder.h"

#include "base/math.h"
#include "format/crc32.h"
#include "format/flat_file.h"

namespace ptq_test {

uint32_t ModelBuilder::Qparams(const List<float>& scales, int zero_point, int axis) {
  const uint32_t begin = static_cast<uint32_t>(scales_.size());
  scales_.Append(scales.data(), scales.size());
  qparams_.Add({begin, static_cast<uint32_t>(scales.size()), zero_point, axis});
  return static_cast<uint32_t>(qparams_.size() - 1);
}

uint32_t ModelBuilder::String(const char* text) {
  const uint32_t offset = static_cast<uint32_t>(strings_.size());
  strings_.Append(reinterpret_cast<const uint8_t*>(text), strlen(text) + 1);
  return offset;
}

uint32_t ModelBuilder::Tensor(const char* name, ptq::DType dtype, const Dims& dims,
                              uint32_t qparams, ptq::Storage storage) {
  ptq::TensorEntry entry = {};
  entry.name = String(name);
  entry.dtype = dtype;
  entry.rank = static_cast<uint8_t>(dims.size());
  entry.storage = storage;
  entry.qparams = qparams;
  entry.size = ptq::ElementSize(dtype);
  for (size_t i = 0; i < dims.size(); ++i) {
    entry.dims[i] = dims[i];
    entry.size *= dims[i];
  }
  tensors_.Add(entry);
  return static_cast<uint32_t>(tensors_.size() - 1);
}

uint32_t ModelBuilder::Arena(const char* name, ptq::DType dtype, const Dims& dims,
                             uint32_t qparams) {
  const uint32_t index = Tensor(name, dtype, dims, qparams, ptq::kArena);
  tensors_[index].offset = arena_size_;
  arena_size_ += ptq::RoundUp(tensors_[index].size, 64);
  return index;
}

uint32_t ModelBuilder::Constant(const char* name, ptq::DType dtype, const Dims& dims,
                                const void* data, uint32_t qparams) {
  const uint32_t index = Tensor(name, dtype, dims, qparams, ptq::kConstant);
  weights_.Resize(static_cast<size_t>(ptq::RoundUp(weights_.size(), 64)));
  tensors_[index].offset = weights_.size();
  weights_.Append(static_cast<const uint8_t*>(data), static_cast<size_t>(tensors_[index].size));
  return index;
}

uint32_t ModelBuilder::Input(const char* name, ptq::DType dtype, const Dims& dims,
                             uint32_t qparams) {
  inputs_.Add(Arena(name, dtype, dims, qparams));
  return inputs_[inputs_.size() - 1];
}

void ModelBuilder::AddOp(uint16_t kind, const char* name, const List<uint32_t>& inputs,
                         uint32_t output, const void* attrs, size_t attr_size) {
  ptq::OperatorEntry entry = {};
  entry.kind = kind;
  entry.name = String(name);
  entry.index_begin = static_cast<uint32_t>(indices_.size());
  entry.input_count = static_cast<uint16_t>(inputs.size());
  entry.output_count = 1;
  entry.attr_begin = static_cast<uint32_t>(attributes_.size());
  entry.attr_size = static_cast<uint32_t>(attr_size);
  operators_.Add(entry);
  indices_.Append(inputs.data(), inputs.size());
  indices_.Add(output);
  attributes_.Append(static_cast<const uint8_t*>(attrs), attr_size);
}

List<uint8_t> ModelBuilder::Finish() const {
  const ptq::PlanEntry plan = {arena_size_, 64, 0};
  struct Part {
    const char* kind;
    const void* data;
    size_t size;
    uint32_t entry_size;
  };
  const Part parts[] = {
      {"STRS", strings_.data(), strings_.size(), 1},
      {"QPRM", qparams_.data(), qparams_.size() * 16, 16},
      {"SCAL", scales_.data(), scales_.size() * 4, 4},
      {"TENS", tensors_.data(), tensors_.size() * 64, 64},
      {"OPRS", operators_.data(), operators_.size() * 32, 32},
      {"INDX", indices_.data(), indices_.size() * 4, 4},
      {"ATTR", attributes_.data(), attributes_.size(), 1},
      {"INPT", inputs_.data(), inputs_.size() * 4, 4},
      {"OUTP", outputs_.data(), outputs_.size() * 4, 4},
      {"PLAN", &plan, sizeof plan, 16},
      {"WGTS", weights_.data(), weights_.size(), 1},
  };
  constexpr uint32_t kParts = sizeof parts / sizeof parts[0];
  List<uint8_t> file(sizeof(ptq::FileHeader) + kParts * sizeof(ptq::SectionEntry));
  for (uint32_t i = 0; i < kParts; ++i) {
    file.Resize(static_cast<size_t>(ptq::RoundUp(file.size(), 64)));
    ptq::SectionEntry entry = {};
    memcpy(entry.kind, parts[i].kind, 4);
    entry.flags = ptq::kSectionRequired;
    entry.offset = file.size();
    entry.size = parts[i].size;
    entry.count = strcmp(parts[i].kind, "WGTS") == 0
                      ? 0
                      : static_cast<uint32_t>(parts[i].size / parts[i].entry_size);
    entry.entry_size = parts[i].entry_size;
    file.Append(static_cast<const uint8_t*>(parts[i].data), parts[i].size);
    memcpy(file.data() + sizeof(ptq::FileHeader) + i * sizeof entry, &entry, sizeof entry);
  }
  ptq::FileHeader header = {};
  memcpy(header.magic, ptq::kMagic, sizeof header.magic);
  header.version_major = 1;
  header.header_size = sizeof header;
  header.file_size = file.size();
  header.section_count = kParts;
  header.targets = ptq::kTargetArm64 | ptq::kTargetArmv7 | ptq::kTargetX86_64;
  strcpy(header.producer, "ptq test");
  memcpy(file.data(), &header, sizeof header);
  FixCrc(&file);
  return file;
}

void FixCrc(List<uint8_t>* file) {
  if (file->size() < ptq::kCrcBegin) return;
  const uint32_t crc = ptq::Crc32(0, file->data() + ptq::kCrcBegin, file->size() - ptq::kCrcBegin);
  memcpy(file->data() + offsetof(ptq::FileHeader, crc32), &crc, sizeof crc);
}

}  // namespace ptq_test
