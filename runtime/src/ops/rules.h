// The rules of operators that are data.
#ifndef PTQ_OPS_RULES_H_
#define PTQ_OPS_RULES_H_

#include "ops/op.h"

namespace ptq {

// Types, storage, ranks and scales of the operands, and the values of the attributes, as the table
// of kinds says. What an operator demands beside that, its Prepare checks.
ptq_status CheckRules(const PreparedOp& op);

}  // namespace ptq

#endif  // PTQ_OPS_RULES_H_
