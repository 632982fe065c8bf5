// Checks the memory plan by playing the program through: at each operator, the live tensors lie
// side by side in the arena.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "format/flat_file.h"

namespace ptq {
namespace {

constexpr uint32_t kNever = 0xFFFFFFFF;

// Bytes of the arena that hold a value until operator `last_use`. A reshape's output may share the
// slot of its input.
struct Slot {
  uint64_t begin, end;
  uint32_t last_use;
};

class LiveSlots {
 public:
  ptq_status Allocate(size_t capacity) { return slots_.Allocate(capacity); }

  // False if a live slot shares a byte with the new one.
  bool Insert(const Slot& slot) {
    const size_t at = LowerBound(slot.begin);
    if (at < count_ && slots_[at].begin < slot.end) return false;
    if (at > 0 && slots_[at - 1].end > slot.begin) return false;
    memmove(slots_.data() + at + 1, slots_.data() + at, (count_ - at) * sizeof(Slot));
    slots_[at] = slot;
    ++count_;
    return true;
  }

  // Null if no live slot begins there.
  Slot* Find(uint64_t begin) {
    const size_t at = LowerBound(begin);
    return at < count_ && slots_[at].begin == begin ? &slots_[at] : nullptr;
  }

  void RemoveIfDead(uint64_t begin, uint32_t now) {
    const size_t at = LowerBound(begin);
    if (at >= count_ || slots_[at].begin != begin || slots_[at].last_use > now) return;
    memmove(slots_.data() + at, slots_.data() + at + 1, (count_ - at - 1) * sizeof(Slot));
    --count_;
  }

 private:
  size_t LowerBound(uint64_t begin) const {
    size_t lo = 0, hi = count_;
    while (lo < hi) {
      const size_t middle = (lo + hi) / 2;
      if (slots_[middle].begin < begin) {
        lo = middle + 1;
      } else {
        hi = middle;
      }
    }
    return lo;
  }

  Array<Slot> slots_;
  size_t count_ = 0;
};

// The operator after which each tensor's value is no longer needed; operator_count for "until the
// end".
ptq_status FindLastUses(const FlatFile& file, Array<uint32_t>* last_use) {
  PTQ_RETURN_IF_ERROR(last_use->Allocate(file.tensors.size()));
  const uint32_t end = static_cast<uint32_t>(file.operators.size());
  for (uint32_t i = 0; i < end; ++i) {
    const Operator& op = file.operators[i];
    for (uint32_t j = 0; j < op.input_count; ++j) {
      if (op.inputs[j] != kNone) (*last_use)[op.inputs[j]] = i;
    }
    // A value that nobody reads still needs its place while it is written.
    (*last_use)[op.outputs[0]] = Max((*last_use)[op.outputs[0]], i);
  }
  for (uint32_t input : file.inputs) (*last_use)[input] = end;
  for (uint32_t output : file.outputs) (*last_use)[output] = end;
  return PTQ_OK;
}

ptq_status CheckReads(const FlatFile& file, const Operator& op, const Array<uint32_t>& written_by) {
  for (uint32_t j = 0; j < op.input_count; ++j) {
    const uint32_t index = op.inputs[j];
    if (index == kNone || file.tensors[index].storage == kConstant || written_by[index] != kNever)
      continue;
    return Fail(PTQ_BAD_FILE,
                "input %" PRIu32 ": tensor %" PRIu32 " '%.60s' is read before it is written", j,
                index, file.tensors[index].name);
  }
  return PTQ_OK;
}

// True if `x` and `y` have one scale, the same, and the same zero point; or none.
bool SameQparams(const Tensor& x, const Tensor& y) {
  return x.scale_count == y.scale_count && x.zero_point == y.zero_point &&
         (x.scale_count == 0 || (x.scale_count == 1 && x.scales[0] == y.scales[0]));
}

// Ends the life of inputs of a concat that lie at their place in its output and die here. Only a
// concat that puts whole inputs one after the other as they are may have such inputs.
void JoinInputs(const FlatFile& file, const Operator& op, uint32_t now, LiveSlots* live) {
  const Tensor& y = file.tensors[op.outputs[0]];
  ConcatAttrs attrs;
  memcpy(&attrs, op.attrs, sizeof attrs);
  if (attrs.clamp.lo != -INFINITY || attrs.clamp.hi != INFINITY || attrs.clamp.q_min != -128 ||
      attrs.clamp.q_max != 127 || attrs.axis >= y.rank)
    return;
  for (uint32_t d = 0; d < attrs.axis; ++d) {
    if (y.dims[d] != 1) return;
  }
  uint64_t offset = y.offset;
  for (uint32_t j = 0; j < op.input_count; ++j) {
    const Tensor& x = file.tensors[op.inputs[j]];
    if (x.storage == kArena && x.offset == offset && x.dtype == y.dtype && SameQparams(x, y))
      live->RemoveIfDead(x.offset, now);
    offset += x.size;
  }
}

// Gives the output of operator `now` its place among the live tensors.
ptq_status PlaceOutput(const FlatFile& file, uint32_t now, uint32_t last_use, LiveSlots* live) {
  const Operator& op = file.operators[now];
  const uint32_t index = op.outputs[0];
  const Tensor& tensor = file.tensors[index];
  if (op.kind->id == kConcat) JoinInputs(file, op, now, live);
  if (op.kind->same_bytes) {
    const Tensor& input = file.tensors[op.inputs[0]];
    if (input.storage == kArena && input.offset == tensor.offset && input.size == tensor.size) {
      Slot* shared = live->Find(tensor.offset);
      if (shared != nullptr) {
        shared->last_use = Max(shared->last_use, last_use);
        return PTQ_OK;
      }
    }
  }
  if (live->Insert({tensor.offset, tensor.offset + tensor.size, last_use})) return PTQ_OK;
  return Fail(PTQ_BAD_FILE,
              "output: tensor %" PRIu32 " '%.60s' offset: arena bytes %" PRIu64 " ... %" PRIu64
              " belong to a tensor that is still needed",
              index, tensor.name, tensor.offset, tensor.offset + tensor.size);
}

}  // namespace

ptq_status CheckMemoryPlan(const FlatFile& file) {
  const uint32_t operator_count = static_cast<uint32_t>(file.operators.size());
  Array<uint32_t> last_use, written_by;
  LiveSlots live;
  PTQ_RETURN_IF_ERROR(FindLastUses(file, &last_use));
  PTQ_RETURN_IF_ERROR(written_by.Allocate(file.tensors.size()));
  PTQ_RETURN_IF_ERROR(live.Allocate(file.tensors.size()));
  for (uint32_t& writer : written_by) writer = kNever;

  for (uint32_t input : file.inputs) {
    const Tensor& tensor = file.tensors[input];
    if (tensor.storage != kArena || written_by[input] != kNever) {
      return Fail(PTQ_BAD_FILE, "INPT: tensor %" PRIu32 " '%.60s' is a constant or listed twice",
                  input, tensor.name);
    }
    written_by[input] = operator_count;
    if (!live.Insert({tensor.offset, tensor.offset + tensor.size, operator_count})) {
      return Fail(PTQ_BAD_FILE,
                  "INPT: tensor %" PRIu32 " '%.60s' shares arena bytes with another input", input,
                  tensor.name);
    }
  }
  for (uint32_t i = 0; i < operator_count; ++i) {
    const Operator& op = file.operators[i];
    const uint32_t output = op.outputs[0];
    ptq_status status = CheckReads(file, op, written_by);
    if (status == PTQ_OK &&
        (file.tensors[output].storage != kArena || written_by[output] != kNever)) {
      status = Fail(PTQ_BAD_FILE,
                    "output: tensor %" PRIu32 " '%.60s' is a constant, an input, or written twice",
                    output, file.tensors[output].name);
    }
    if (status == PTQ_OK) status = PlaceOutput(file, i, last_use[output], &live);
    if (status != PTQ_OK) {
      PrefixLastError("operator %" PRIu32 " '%.60s' (%s) ", i, op.name, op.kind->name);
      return status;
    }
    written_by[output] = i;
    for (uint32_t j = 0; j < op.input_count + op.output_count; ++j) {
      const uint32_t index = op.inputs[j];
      if (index != kNone && file.tensors[index].storage == kArena)
        live.RemoveIfDead(file.tensors[index].offset, i);
    }
  }
  for (uint32_t i = 0; i < file.tensors.size(); ++i) {
    if (file.tensors[i].storage == kArena && written_by[i] == kNever) {
      return Fail(PTQ_BAD_FILE,
                  "tensor %" PRIu32
                  " '%.60s': in the arena, but neither an input nor written by an operator",
                  i, file.tensors[i].name);
    }
  }
  for (uint32_t output : file.outputs) {
    if (file.tensors[output].storage == kArena) continue;
    return Fail(PTQ_BAD_FILE, "OUTP: tensor %" PRIu32 " '%.60s' is a constant", output,
                file.tensors[output].name);
  }
  return PTQ_OK;
}

}  // namespace ptq
