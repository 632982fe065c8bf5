// The rules of the operator table, in the order of ptq_core/flatfile/operators/rules.py.
#include "ops/rules.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "ops/checks.h"

namespace ptq {
namespace {

ptq_status CheckWeightScales(const char* what, const Tensor& tensor) {
  if (tensor.scales == nullptr) return PTQ_OK;
  if (tensor.zero_point != 0) {
    return Fail(PTQ_BAD_FILE, "%s '%.60s' zero_point: %" PRId32 " instead of 0", what, tensor.name,
                tensor.zero_point);
  }
  if (tensor.scale_count != 1 && tensor.axis != 0) {
    return Fail(PTQ_BAD_FILE, "%s '%.60s' axis: %" PRId32 " instead of 0", what, tensor.name,
                tensor.axis);
  }
  return PTQ_OK;
}

ptq_status CheckScales(const OpOperand& operand, const Tensor& tensor, const Tensor& y) {
  switch (operand.scales) {
    case kOneScale:
      return CheckPerTensor(operand.name, tensor);
    case kScaleOfOutput:
      PTQ_RETURN_IF_ERROR(CheckPerTensor(operand.name, tensor));
      return CheckSameQparams(tensor, y);
    case kScalesPerOutput:
      return CheckWeightScales(operand.name, tensor);
    case kNoScale:
      return CheckUnquantized(operand.name, tensor);
    case kAnyScales:
      break;
  }
  return PTQ_OK;
}

ptq_status CheckOperand(const OpOperand& operand, const Tensor& tensor, const PreparedOp& op) {
  if (operand.is_constant) PTQ_RETURN_IF_ERROR(CheckConstant(operand.name, tensor));
  if (operand.rank != kAnyRank) {
    const uint32_t rank =
        operand.rank == kRankOfX ? op.Input(0)->rank : static_cast<uint32_t>(operand.rank);
    PTQ_RETURN_IF_ERROR(CheckRank(operand.name, tensor, rank));
  }
  return CheckScales(operand, tensor, op.Output());
}

// A field, or an entry of an array.
struct Place {
  char name[32];

  explicit Place(const OpField& field) { snprintf(name, sizeof name, "%s", field.name); }
  Place(const OpField& field, uint32_t entry) {
    snprintf(name, sizeof name, "%s[%" PRIu32 "]", field.name, entry);
  }
};

int64_t Integer(const OpField& field, const uint8_t* data) {
  uint32_t bits;
  memcpy(&bits, data, sizeof bits);
  const bool is_signed = field.type == kS32 || field.type == kS32Array;
  return is_signed ? int64_t{static_cast<int32_t>(bits)} : int64_t{bits};
}

ptq_status CheckValue(const OpField& field, const Place& place, const uint8_t* data,
                      uint32_t rank) {
  switch (field.rule) {
    case kInRange: {
      const int64_t value = Integer(field, data);
      if (value >= field.least && value <= field.most) return PTQ_OK;
      return Fail(PTQ_BAD_FILE, "%s: %" PRId64 " is not in %" PRId64 " ... %" PRId64, place.name,
                  value, field.least, field.most);
    }
    case kBelowRank: {
      const int64_t value = Integer(field, data);
      if (value < rank) return PTQ_OK;
      return Fail(PTQ_BAD_FILE, "%s: %" PRId64 " is not below the rank %" PRIu32, place.name, value,
                  rank);
    }
    case kPositive: {
      float value;
      memcpy(&value, data, sizeof value);
      if (isfinite(value) && value > 0) return PTQ_OK;
      return Fail(PTQ_BAD_FILE, "%s: %g is not positive and finite", place.name,
                  static_cast<double>(value));
    }
    case kInOrder: {
      ClampAttrs clamp;
      memcpy(&clamp, data, sizeof clamp);
      return CheckClamp(clamp);
    }
    case kAnyValue:
      break;
  }
  return PTQ_OK;
}

ptq_status CheckField(const OpField& field, const uint8_t* data, uint32_t rank) {
  if (!IsArray(field.type)) return CheckValue(field, Place(field), data, rank);
  for (uint32_t i = 0; i < kMaxRank; ++i, data += sizeof(uint32_t)) {
    const Place place(field, i);
    if (i < rank) {
      PTQ_RETURN_IF_ERROR(CheckValue(field, place, data, rank));
    } else if (Integer(field, data) != 0) {
      return Fail(PTQ_BAD_FILE, "%s: %" PRId64 " beyond the rank %" PRIu32, place.name,
                  Integer(field, data), rank);
    }
  }
  return PTQ_OK;
}

}  // namespace

ptq_status CheckRules(const PreparedOp& op) {
  const OpKind& kind = *op.op->kind;
  const Tensor &x = *op.Input(0), &y = op.Output();
  for (uint32_t i = 0; i < op.op->input_count; ++i) {
    const OpOperand& operand = kind.Input(i);
    if (const Tensor* input = op.Input(i))
      PTQ_RETURN_IF_ERROR(CheckDType(operand.name, *input, operand.types[x.dtype]));
  }
  PTQ_RETURN_IF_ERROR(CheckDType(kind.Output().name, y, kind.Output().types[x.dtype]));
  for (uint32_t i = 0; i < op.op->input_count; ++i) {
    if (const Tensor* input = op.Input(i))
      PTQ_RETURN_IF_ERROR(CheckOperand(kind.Input(i), *input, op));
  }
  PTQ_RETURN_IF_ERROR(CheckOperand(kind.Output(), y, op));
  if (kind.same_shape) PTQ_RETURN_IF_ERROR(CheckSameShape(x, y));
  const uint8_t* data = static_cast<const uint8_t*>(op.op->attrs);
  for (uint32_t i = 0; i < kind.field_count; ++i) {
    PTQ_RETURN_IF_ERROR(CheckField(kind.fields[i], data, x.rank));
    data += FieldSize(kind.fields[i].type);
  }
  return PTQ_OK;
}

}  // namespace ptq
