// Functions of one int8 as 256-entry tables: requantization from one scale to another, clamps.
#ifndef PTQ_OPS_INT8_TABLE_H_
#define PTQ_OPS_INT8_TABLE_H_

#include <stdint.h>

#include "base/math.h"
#include "numerics/requantize.h"
#include "ops/op.h"

namespace ptq {

struct Int8Table {
  int8_t values[256];  // values[q + 128]
  bool identity;       // a copy does
};

// The rule "requantize, clamp, concat" of docs/numerics.md from the qparams of x to those of y.
inline void MakeRequantizeTable(const Tensor& x, const Tensor& y, const ClampAttrs& clamp,
                                Int8Table* table) {
  const OutputRange range = MakeOutputRange(y.zero_point, clamp.q_min, clamp.q_max);
  table->identity = true;
  for (int32_t q = -128; q <= 127; ++q) {
    const float real = static_cast<float>(q - x.zero_point) * x.scales[0];
    const int8_t value = QuantizeToRange(real / y.scales[0], range);
    table->values[q + 128] = value;
    if (value != q) table->identity = false;
  }
}

}  // namespace ptq

#endif  // PTQ_OPS_INT8_TABLE_H_
