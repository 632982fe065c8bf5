// Finding a row of the operator table.
#include "format/op_kinds.h"

namespace ptq {

const OpKind* FindOpKind(uint16_t id) {
  for (size_t i = 0; i < kOpKindCount; ++i) {
    if (kOpKinds[i].id == id) return &kOpKinds[i];
  }
  return nullptr;
}

}  // namespace ptq
