// Checks that several operators share.
#include "ops/checks.h"

#include <inttypes.h>
#include <math.h>

namespace ptq {

ptq_status CheckClamp(const ClampAttrs& clamp) {
  if (!(clamp.lo <= clamp.hi)) {  // also refuses NaN
    return Fail(PTQ_BAD_FILE, "clamp: lo %g, hi %g are not in order", static_cast<double>(clamp.lo),
                static_cast<double>(clamp.hi));
  }
  if (clamp.q_min < -128 || clamp.q_max > 127 || clamp.q_min > clamp.q_max) {
    return Fail(PTQ_BAD_FILE,
                "clamp: q_min %" PRId32 ", q_max %" PRId32 " are not in order in -128 ... 127",
                clamp.q_min, clamp.q_max);
  }
  return PTQ_OK;
}

ptq_status CheckDType(const char* what, const Tensor& tensor, uint32_t allowed_mask) {
  if (allowed_mask & (1u << tensor.dtype)) return PTQ_OK;
  return Fail(PTQ_BAD_FILE, "%s '%.60s' dtype: %s does not fit here", what, tensor.name,
              DTypeName(tensor.dtype));
}

ptq_status CheckRank(const char* what, const Tensor& tensor, uint32_t rank) {
  if (tensor.rank == rank) return PTQ_OK;
  return Fail(PTQ_BAD_FILE, "%s '%.60s' rank: %" PRIu32 " instead of %" PRIu32, what, tensor.name,
              tensor.rank, rank);
}

ptq_status CheckDim(const char* what, const Tensor& tensor, uint32_t axis, uint64_t expected) {
  if (tensor.dims[axis] == expected) return PTQ_OK;
  return Fail(PTQ_BAD_FILE, "%s '%.60s' dims[%" PRIu32 "]: %" PRIu32 " instead of %" PRIu64, what,
              tensor.name, axis, tensor.dims[axis], expected);
}

ptq_status CheckSameShape(const Tensor& x, const Tensor& y) {
  PTQ_RETURN_IF_ERROR(CheckRank("output", y, x.rank));
  for (uint32_t i = 0; i < x.rank; ++i) PTQ_RETURN_IF_ERROR(CheckDim("output", y, i, x.dims[i]));
  return PTQ_OK;
}

ptq_status CheckSameQparams(const Tensor& x, const Tensor& y) {
  const bool x_has = x.scales != nullptr, y_has = y.scales != nullptr;
  if (x_has == y_has &&
      (!x_has || (x.scale_count == y.scale_count && x.zero_point == y.zero_point &&
                  memcmp(x.scales, y.scales, x.scale_count * sizeof(float)) == 0))) {
    return PTQ_OK;
  }
  return Fail(PTQ_BAD_FILE,
              "qparams: input '%.60s' and output '%.60s' must have the same scale and zero point",
              x.name, y.name);
}

ptq_status CheckConstant(const char* what, const Tensor& tensor) {
  if (tensor.storage == kConstant) return PTQ_OK;
  return Fail(PTQ_BAD_FILE, "%s '%.60s' storage: arena instead of constant", what, tensor.name);
}

ptq_status CheckUnquantized(const char* what, const Tensor& tensor) {
  if (tensor.scales == nullptr) return PTQ_OK;
  return Fail(PTQ_BAD_FILE, "%s '%.60s' qparams: there must be none", what, tensor.name);
}

ptq_status CheckPerTensor(const char* what, const Tensor& tensor) {
  if (tensor.scales == nullptr || tensor.scale_count == 1) return PTQ_OK;
  return Fail(PTQ_BAD_FILE, "%s '%.60s' scale_count: %" PRIu32 " instead of 1", what, tensor.name,
              tensor.scale_count);
}

ptq_status CheckMultiplier(const char* what, float multiplier) {
  if (isfinite(multiplier)) return PTQ_OK;
  return Fail(PTQ_BAD_FILE, "%s: the scales give the factor %g, which is not finite", what,
              static_cast<double>(multiplier));
}

ptq_status NoKernel(uint8_t dtype) {
  return Fail(PTQ_UNSUPPORTED,
              "has no kernel of %s in this runtime, which was tailored to other models; tailor it "
              "to this one too",
              DTypeName(dtype));
}

ptq_status CheckKernel(const char* axis, const Window& window) {
  if (window.kernel >= 1 && window.kernel <= kMaxGeometry) return PTQ_OK;
  return Fail(PTQ_BAD_FILE, "%s kernel: %" PRIu32 " is not in 1 ... %" PRIu32, axis, window.kernel,
              kMaxGeometry);
}

ptq_status CheckWindowOutput(const char* axis, const Window& window, uint32_t input,
                             uint32_t output) {
  const uint64_t reach = static_cast<uint64_t>(window.kernel - 1) * window.dilation + 1;
  const uint64_t padded = static_cast<uint64_t>(input) + window.pad_begin + window.pad_end;
  if (reach > padded) {
    return Fail(PTQ_BAD_FILE,
                "%s: the kernel reaches over %" PRIu64 ", the padded input has %" PRIu64, axis,
                reach, padded);
  }
  const uint64_t expected = (padded - reach) / window.stride + 1;
  if (output == expected) return PTQ_OK;
  return Fail(PTQ_BAD_FILE, "%s: the output has %" PRIu32 " instead of %" PRIu64, axis, output,
              expected);
}

ptq_status CheckNoEmptyWindow(const char* axis, const Window& window, uint32_t input,
                              uint32_t output) {
  const auto check = [&](uint32_t o) {
    int64_t begin, end;
    ValidTaps(window, o, input, &begin, &end);
    if (begin < end) return PTQ_OK;
    return Fail(PTQ_BAD_FILE, "%s: the window of output %" PRIu32 " lies wholly in the padding",
                axis, o);
  };
  const auto start = [&](uint32_t o) {
    return static_cast<int64_t>(o) * window.stride - window.pad_begin;
  };
  for (uint32_t o = 0; o < output && start(o) < 0; ++o) PTQ_RETURN_IF_ERROR(check(o));
  for (uint32_t o = output; o > 0 && start(o - 1) >= input; --o) PTQ_RETURN_IF_ERROR(check(o - 1));
  return PTQ_OK;
}

}  // namespace ptq
