// The int8 channels of a convolution: bias, multipliers, and the proof that their sums fit.
#include <inttypes.h>

#include "numerics/shifted_sum.h"
#include "ops/conv_prepare.h"

namespace ptq {
namespace {

// What a channel's sums lie in, whatever the input.
struct SumBounds {
  int64_t low, high;
};

// Folds the input's zero point into the bias: sum((x - z) w) + b = sum(x w) + (b - z sum(w)), and
// likewise what the kernel adds to x: sum(x w) = sum((x + offset) w) - offset sum(w), modulo 2^32.
// Proves on the way that no accumulator of the kernels can leave int32, in whatever order it sums.
ptq_status FoldBias(const Tensor& x, const Tensor& w, const Tensor* b, size_t output,
                    size_t products, int32_t input_offset, int32_t* folded, SumBounds* bounds) {
  const int8_t* row = static_cast<const int8_t*>(w.data) + output * products;
  int64_t sum = 0, magnitude = 0;
  for (size_t k = 0; k < products; ++k) {
    if (row[k] == -128) {
      return Fail(PTQ_BAD_FILE, "w '%.60s': element %zu is -128; weights are in -127 ... 127",
                  w.name, output * products + k);
    }
    sum += row[k];
    magnitude += row[k] < 0 ? -row[k] : row[k];
  }
  int32_t bias = 0;
  if (b != nullptr) memcpy(&bias, static_cast<const int32_t*>(b->data) + output, sizeof bias);
  const int64_t bias_magnitude = bias < 0 ? -static_cast<int64_t>(bias) : bias;
  const int64_t z = x.zero_point, z_magnitude = z < 0 ? -z : z;
  if (bias_magnitude + (128 + z_magnitude) * magnitude > INT32_MAX) {
    return Fail(PTQ_BAD_FILE,
                "output channel %zu: |b| = %" PRId64 " and sum|w| = %" PRId64 " can overflow int32",
                output, bias_magnitude, magnitude);
  }
  const uint32_t wrapped = static_cast<uint32_t>(bias - (z + input_offset) * sum);
  memcpy(folded, &wrapped, sizeof wrapped);
  const int64_t positive = (magnitude + sum) / 2, negative = (magnitude - sum) / 2;
  bounds->low = bias - positive * (128 + z) - negative * (127 - z);
  bounds->high = bias + positive * (127 - z) + negative * (128 + z);
  return PTQ_OK;
}

// `slot`: where output channel o lies in the padded arrays.
ptq_status PrepareChannel(const Convolution& conv, size_t output, size_t slot, int32_t input_offset,
                          ConvChannels<int8_t>* channels) {
  const Tensor &x = conv.x, &w = conv.w;
  const size_t products = conv.geometry.Taps() * conv.geometry.GroupInputs();
  SumBounds bounds;
  PTQ_RETURN_IF_ERROR(
      FoldBias(x, w, conv.b, output, products, input_offset, &channels->bias[slot], &bounds));
  // Two roundings, in this order (docs/numerics.md).
  float m = x.scales[0] * w.scales[w.scale_count == 1 ? 0 : output];
  if (conv.output.dtype == kI8) m = m / conv.output.scale;
  channels->multiplier[slot] = m;
  if (m >= 1.0f) channels->small_results = false;
  if (!FitsShiftedSum(bounds.low, bounds.high, m, conv.output.zero_point))
    channels->shifted_sums = false;
  return CheckMultiplier("requantization", m);
}

}  // namespace

ptq_status PrepareInt8Channels(const Convolution& conv, const ChannelSlots& slots,
                               int32_t input_offset, bool shifted_sums,
                               ConvChannels<int8_t>* channels) {
  channels->shifted_sums = shifted_sums && conv.output.dtype == kI8;
  channels->small_results = true;
  PTQ_RETURN_IF_ERROR(channels->bias.Allocate(slots.groups * slots.slots));
  PTQ_RETURN_IF_ERROR(channels->multiplier.Allocate(slots.groups * slots.slots));
  for (size_t group = 0; group < slots.groups; ++group) {
    for (size_t j = 0; j < slots.outputs; ++j) {
      PTQ_RETURN_IF_ERROR(PrepareChannel(conv, group * slots.outputs + j, group * slots.slots + j,
                                         input_offset, channels));
    }
  }
  if (!channels->shifted_sums) return PTQ_OK;
  // Only now it is known that every one of them fits.
  for (int32_t& bias : channels->bias) bias = ShiftSum(bias);
  return PTQ_OK;
}

}  // namespace ptq
