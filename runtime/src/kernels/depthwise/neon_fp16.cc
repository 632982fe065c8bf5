// Float depthwise kernels in half precision, Armv8.2: twice the channels in a vector.
#include <arm_neon.h>
#include <string.h>

#include "kernels/depthwise/float_strip.h"
#include "kernels/tail.h"

namespace ptq {
namespace {

struct F16 {
  using Element = Half;
  using Vector = float16x8_t;
  static constexpr size_t kLanes = 8;

  static PTQ_INLINE Vector Load(const Half* p) {
    return vreinterpretq_f16_u16(vld1q_u16(&p->bits));
  }
  static PTQ_INLINE void Store(Half* p, Vector v) { vst1q_u16(&p->bits, vreinterpretq_u16_f16(v)); }
  static PTQ_INLINE void StoreFirst(Half* p, size_t count, Vector v) {
    if (count == kLanes) {
      Store(p, v);
    } else {
      CopyTail<sizeof v>(p, &v, count * sizeof(Half));
    }
  }
  static PTQ_INLINE Vector Splat(float value) { return vdupq_n_f16(static_cast<__fp16>(value)); }
  static PTQ_INLINE Vector MultiplyAdd(Vector a, Vector b, Vector sum) {
    return vfmaq_f16(sum, a, b);
  }
  static PTQ_INLINE Vector Clamp(Vector v, Vector lo, Vector hi) {
    return vminq_f16(vmaxq_f16(v, lo), hi);
  }
  // Left to the core, as in neon.cc.
  static PTQ_INLINE void Prefetch(const Half*) {}
};

}  // namespace

void depthwise_f16_3x3s1__neon_fp16(const DepthwiseF16Row& row) { SquareRow<F16, 3, 1, 2>(row); }

void depthwise_f16_3x3s2__neon_fp16(const DepthwiseF16Row& row) { SquareRow<F16, 3, 2, 2>(row); }

void depthwise_f16_5x5s1__neon_fp16(const DepthwiseF16Row& row) { SquareRow<F16, 5, 1, 1>(row); }

void depthwise_f16_5x5s2__neon_fp16(const DepthwiseF16Row& row) { SquareRow<F16, 5, 2, 1>(row); }

void depthwise_f16_1x32__neon_fp16(const DepthwiseF16Row& row) { AnyRow<F16>(row); }

}  // namespace ptq
