// Writes small flat files for tests. Every arena tensor gets its own place, so that any of them can
// be looked at after a run.
#ifndef PTQ_TEST_SUPPORT_MODEL_BUILDER_H_
#define PTQ_TEST_SUPPORT_MODEL_BUILDER_H_

#include <string.h>

#include "format/layout.h"
#include "format/op_kinds.h"
#include "test/support/list.h"

namespace ptq_test {

using Dims = List<uint32_t>;

class ModelBuilder {
 public:
  // Returns the index in QPRM.
  uint32_t Qparams(const List<float>& scales, int zero_point = 0, int axis = -1);
  uint32_t Qparams(float scale, int zero_point = 0) {
    return Qparams(List<float>{scale}, zero_point);
  }

  // Each returns the tensor's index.
  uint32_t Arena(const char* name, ptq::DType dtype, const Dims& dims,
                 uint32_t qparams = ptq::kNone);
  uint32_t Constant(const char* name, ptq::DType dtype, const Dims& dims, const void* data,
                    uint32_t qparams = ptq::kNone);
  uint32_t Input(const char* name, ptq::DType dtype, const Dims& dims,
                 uint32_t qparams = ptq::kNone);

  template <typename Attrs>
  void Op(uint16_t kind, const char* name, const List<uint32_t>& inputs, uint32_t output,
          const Attrs& attrs) {
    AddOp(kind, name, inputs, output, &attrs, sizeof attrs);
  }
  void Op(uint16_t kind, const char* name, const List<uint32_t>& inputs, uint32_t output) {
    AddOp(kind, name, inputs, output, nullptr, 0);
  }
  void Output(uint32_t tensor) { outputs_.Add(tensor); }

  // Places `tensor` `delta` bytes into the arena bytes of `other`: for reshapes, and for plans that
  // must be refused.
  void ShareMemory(uint32_t tensor, uint32_t other, uint64_t delta = 0) {
    tensors_[tensor].offset = tensors_[other].offset + delta;
  }

  List<uint8_t> Finish() const;

 private:
  uint32_t String(const char* text);
  uint32_t Tensor(const char* name, ptq::DType dtype, const Dims& dims, uint32_t qparams,
                  ptq::Storage storage);
  void AddOp(uint16_t kind, const char* name, const List<uint32_t>& inputs, uint32_t output,
             const void* attrs, size_t attr_size);

  List<uint8_t> strings_, attributes_, weights_;
  List<ptq::QparamsEntry> qparams_;
  List<float> scales_;
  List<ptq::TensorEntry> tensors_;
  List<ptq::OperatorEntry> operators_;
  List<uint32_t> indices_, inputs_, outputs_;
  uint64_t arena_size_ = 0;
};

// A convolution and the addition of a residual: `clamp` bounds the sum.
inline ptq::Conv2dAddAttrs WithAddition(const ptq::Conv2dAttrs& conv, float scale,
                                        int32_t zero_point, const ptq::ClampAttrs& clamp) {
  ptq::Conv2dAddAttrs attrs;
  memcpy(&attrs, &conv, sizeof conv);  // it begins like one
  attrs.scale = scale;
  attrs.zero_point = zero_point;
  attrs.clamp = clamp;
  return attrs;
}

// Rewrites the checksum of a file that a test has changed.
void FixCrc(List<uint8_t>* file);

}  // namespace ptq_test

#endif  // PTQ_TEST_SUPPORT_MODEL_BUILDER_H_
