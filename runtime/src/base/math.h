// Small integer and float helpers. Clamp lets a NaN pass, as ONNX Clip does.
#ifndef PTQ_BASE_MATH_H_
#define PTQ_BASE_MATH_H_

#include <stddef.h>
#include <stdint.h>

// Always inlined: files compiled for one instruction set use these, and a copy that the linker kept
// from such a file for everyone would fault on other CPUs.
#define PTQ_INLINE inline __attribute__((always_inline))

namespace ptq {

PTQ_INLINE size_t CeilDiv(size_t a, size_t b) { return (a + b - 1) / b; }
PTQ_INLINE uint64_t RoundUp(uint64_t value, uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

template <typename T>
PTQ_INLINE T Min(T a, T b) {
  return b < a ? b : a;
}

template <typename T>
PTQ_INLINE T Max(T a, T b) {
  return a < b ? b : a;
}

template <typename T>
PTQ_INLINE T Clamp(T value, T lo, T hi) {
  return value < lo ? lo : (hi < value ? hi : value);
}

// a * b, or false if it does not fit in 64 bits.
PTQ_INLINE bool Multiply(uint64_t a, uint64_t b, uint64_t* product) {
  return !__builtin_mul_overflow(a, b, product);
}

// `whole` cut into parts of nearly equal size, those of one more first: 15 in 4 is 4 + 4 + 4 + 3.
struct EvenSplit {
  size_t least, larger;  // the smaller size; how many parts have one more

  PTQ_INLINE EvenSplit(size_t whole, size_t parts) : least(whole / parts), larger(whole % parts) {}
  PTQ_INLINE size_t Begin(size_t part) const { return part * least + Min(part, larger); }
  PTQ_INLINE size_t Size(size_t part) const { return least + (part < larger ? 1 : 0); }
};

}  // namespace ptq

#endif  // PTQ_BASE_MATH_H_
