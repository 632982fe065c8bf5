// Collecting the rows of a gemm tile from the input of a convolution.
#ifndef PTQ_OPS_CONV_ROWS_H_
#define PTQ_OPS_CONV_ROWS_H_

#include "base/math.h"
#include "ops/conv_state.h"

namespace ptq {

// Walks output pixels (of all pictures, row by row) and knows the window of input that each sees.
template <typename T>
class WindowCursor {
 public:
  WindowCursor(const ConvGeometry& g, const T* input, size_t index)
      : g_(g),
        height_(static_cast<int64_t>(g.in_h)),
        width_(static_cast<int64_t>(g.in_w)),
        last_y_(height_ - static_cast<int64_t>(g.h.kernel - 1) * g.h.dilation - 1),
        last_x_(width_ - static_cast<int64_t>(g.w.kernel - 1) * g.w.dilation - 1) {
    const size_t n = index / (g.out_h * g.out_w), rest = index % (g.out_h * g.out_w);
    picture_ = input + n * g.in_h * g.in_w * g.in_c;
    row_ = rest / g.out_w;
    column_ = rest % g.out_w;
    y_ = static_cast<int64_t>(row_ * g.h.stride) - g.h.pad_begin;
    x_ = static_cast<int64_t>(column_ * g.w.stride) - g.w.pad_begin;
  }

  // `count` pixels on, none of them beyond the first of the next row.
  void Advance(size_t count) {
    x_ += static_cast<int64_t>(count * g_.w.stride);
    column_ += count;
    if (column_ < g_.out_w) return;
    column_ = 0;
    x_ = -static_cast<int64_t>(g_.w.pad_begin);
    y_ += g_.h.stride;
    if (++row_ < g_.out_h) return;
    row_ = 0;
    y_ = -static_cast<int64_t>(g_.h.pad_begin);
    picture_ += g_.in_h * g_.in_w * g_.in_c;
  }

  // No tap lies in the padding.
  bool Inside() const { return y_ >= 0 && y_ <= last_y_ && x_ >= 0 && x_ <= last_x_; }

  // How many pixels from this one on, in this row and at most `limit`, have no tap in the padding.
  size_t InsideRun(size_t limit) const {
    if (!Inside()) return 0;
    const size_t inside = static_cast<size_t>(last_x_ - x_) / g_.w.stride + 1;
    return Min(limit, Min(inside, g_.out_w - column_));
  }

  bool RowInside(uint32_t ky) const {
    const int64_t y = y_ + static_cast<int64_t>(ky) * g_.h.dilation;
    return y >= 0 && y < height_;
  }
  bool ColumnInside(uint32_t kx) const {
    const int64_t x = x_ + static_cast<int64_t>(kx) * g_.w.dilation;
    return x >= 0 && x < width_;
  }

  // For taps side by side: in a row of the window, the first that is not left of the picture, and
  // the first that is right of it.
  size_t FirstColumn() const {
    return static_cast<size_t>(Min<int64_t>(Max<int64_t>(-x_, 0), g_.w.kernel));
  }
  size_t EndColumn() const {
    return static_cast<size_t>(Min<int64_t>(Max<int64_t>(width_ - x_, 0), g_.w.kernel));
  }

  // The input pixel of a tap that is inside.
  const T* Tap(uint32_t ky, uint32_t kx) const {
    const int64_t y = y_ + static_cast<int64_t>(ky) * g_.h.dilation,
                  x = x_ + static_cast<int64_t>(kx) * g_.w.dilation;
    return picture_ + (y * width_ + x) * static_cast<int64_t>(g_.in_c);
  }

 private:
  const ConvGeometry& g_;
  const int64_t height_, width_;
  const int64_t last_y_, last_x_;  // of a first tap whose window lies inside
  const T* picture_;
  size_t row_, column_;  // of the output
  int64_t y_, x_;        // of the first tap, negative in the padding
};

// rows[tap * stride] for each tap: its input pixel, or `padding`.
template <typename T>
void CollectTaps(const ConvGeometry& g, const WindowCursor<T>& window, const T* padding,
                 size_t stride, const T** rows) {
  for (uint32_t ky = 0; ky < g.h.kernel; ++ky) {
    for (uint32_t kx = 0; kx < g.w.kernel; ++kx, rows += stride) {
      *rows = window.RowInside(ky) && window.ColumnInside(kx) ? window.Tap(ky, kx) : padding;
    }
  }
}

// The same for `count` pixels of a row, all of them inside.
template <typename T>
void CollectTapsInside(const ConvGeometry& g, const WindowCursor<T>& window, size_t count,
                       size_t stride, const T** rows) {
  const size_t step = g.w.stride * g.in_c;
  for (uint32_t ky = 0; ky < g.h.kernel; ++ky) {
    for (uint32_t kx = 0; kx < g.w.kernel; ++kx, rows += stride) {
      const T* tap = window.Tap(ky, kx);
      for (size_t i = 0; i < count; ++i, tap += step) rows[i] = tap;
    }
  }
}

// Copies `count` elements in chunks of 16 bytes: reads and writes up to 15 bytes more.
template <typename T>
PTQ_INLINE T* CopyRun(const T* from, size_t count, T* to) {
  constexpr size_t kChunk = 16 / sizeof(T);
  for (size_t i = 0; i < count; i += kChunk) memcpy(to + i, from + i, 16);
  return to + count;
}

template <typename T>
T* Fill(T value, size_t count, T* to) {
  for (size_t i = 0; i < count; ++i) to[i] = value;
  return to + count;
}

// Writes the window as one contiguous row, [taps][GroupInputs()].
template <typename T>
void CollectPatch(const ConvGeometry& g, const WindowCursor<T>& window, T padding, T* patch) {
  const size_t depth = g.GroupInputs();
  if (g.groups == 1 && g.w.dilation == 1) {  // neighbouring taps lie side by side in memory
    const size_t end = window.EndColumn(), first = Min(window.FirstColumn(), end);
    for (uint32_t ky = 0; ky < g.h.kernel; ++ky) {
      if (window.RowInside(ky) && first < end) {
        patch = Fill(padding, first * depth, patch);
        patch = CopyRun(window.Tap(ky, static_cast<uint32_t>(first)), (end - first) * depth, patch);
        patch = Fill(padding, (g.w.kernel - end) * depth, patch);
      } else {
        patch = Fill(padding, g.w.kernel * depth, patch);
      }
    }
    return;
  }
  for (uint32_t ky = 0; ky < g.h.kernel; ++ky) {
    for (uint32_t kx = 0; kx < g.w.kernel; ++kx) {
      if (window.RowInside(ky) && window.ColumnInside(kx)) {
        patch = CopyRun(window.Tap(ky, kx), depth, patch);
      } else {
        patch = Fill(padding, depth, patch);
      }
    }
  }
}

// The same for `count` pixels of a row, all of them inside, whose neighbouring taps lie side by
// side in memory: a line of the window at a time.
template <typename T>
void CollectPatchesInside(const ConvGeometry& g, const WindowCursor<T>& window, size_t count,
                          size_t patch_stride, T* patches) {
  const size_t length = g.w.kernel * g.in_c, step = g.w.stride * g.in_c;
  for (uint32_t ky = 0; ky < g.h.kernel; ++ky, patches += length) {
    const T* line = window.Tap(ky, 0);
    if (length * sizeof(T) <= 16) {
      for (size_t i = 0; i < count; ++i) memcpy(patches + i * patch_stride, line + i * step, 16);
    } else if (length * sizeof(T) <= 32) {
      for (size_t i = 0; i < count; ++i) memcpy(patches + i * patch_stride, line + i * step, 32);
    } else {
      for (size_t i = 0; i < count; ++i)
        CopyRun(line + i * step, length, patches + i * patch_stride);
    }
  }
}

template <typename T>
void CollectPatches(const GemmState<T>& s, WindowCursor<T> window, size_t count, T* patches) {
  const ConvGeometry& g = s.geometry;
  const bool contiguous = g.groups == 1 && g.w.dilation == 1;
  while (count > 0) {
    size_t run = contiguous ? window.InsideRun(count) : 0;
    if (run > 0) {
      CollectPatchesInside(g, window, run, s.rows.patch_stride, patches);
    } else {
      CollectPatch(g, window, s.padding[0], patches);
      run = 1;
    }
    window.Advance(run);
    patches += run * s.rows.patch_stride;
    count -= run;
  }
}

// rows[ky * stride] for each row of the window: its line of input, [kernel_w][in_c], or `padding`.
// Where the line leaves the picture at a side, a copy in `patch`.
template <typename T>
void CollectLines(const ConvGeometry& g, const WindowCursor<T>& window, const T* padding,
                  size_t stride, const T** rows, T* patch) {
  const size_t length = g.w.kernel * g.in_c;
  const bool inside = window.ColumnInside(0) && window.ColumnInside(g.w.kernel - 1);
  if (!inside) CollectPatch(g, window, *padding, patch);
  for (uint32_t ky = 0; ky < g.h.kernel; ++ky, rows += stride, patch += length) {
    *rows = !inside ? patch : window.RowInside(ky) ? window.Tap(ky, 0) : padding;
  }
}

// The same for `count` pixels of a row, all of them inside.
template <typename T>
void CollectLinesInside(const ConvGeometry& g, const WindowCursor<T>& window, size_t count,
                        size_t stride, const T** rows) {
  const size_t step = g.w.stride * g.in_c;
  for (uint32_t ky = 0; ky < g.h.kernel; ++ky, rows += stride) {
    const T* line = window.Tap(ky, 0);
    for (size_t i = 0; i < count; ++i, line += step) rows[i] = line;
  }
}

// Fills rows [taps][mr] (and, for patches, `patches`) for `count` output pixels from `pixel` on. A
// tile with fewer than mr pixels repeats its last one.
template <typename T>
void CollectTile(const GemmState<T>& s, const T* input, size_t pixel, size_t count, const T** rows,
                 T* patches) {
  const ConvGeometry& g = s.geometry;
  const T* padding = s.padding.data();
  const size_t mr = s.cut.mr;
  if (s.rows.kind == kPointwiseRows) {
    const T* row = input + pixel * g.in_c;
    for (size_t i = 0; i < count; ++i, row += g.in_c) rows[i] = row;
  } else {
    WindowCursor<T> window(g, input, pixel);
    if (s.rows.kind == kPatchRows) {
      for (size_t i = 0; i < count; ++i) rows[i] = patches + i * s.rows.patch_stride;
      CollectPatches(s, window, count, patches);
    } else if (s.rows.kind == kLineRows) {
      for (size_t i = 0; i < count;) {
        size_t run = window.InsideRun(count - i);
        if (run > 0) {
          CollectLinesInside(g, window, run, mr, rows + i);
        } else {
          CollectLines(g, window, padding, mr, rows + i, patches + i * s.rows.patch_stride);
          run = 1;
        }
        window.Advance(run);
        i += run;
      }
    } else {
      for (size_t i = 0; i < count;) {
        size_t run = window.InsideRun(count - i);
        if (run > 0) {
          CollectTapsInside(g, window, run, mr, rows + i);
        } else {
          CollectTaps(g, window, padding, mr, rows + i);
          run = 1;
        }
        window.Advance(run);
        i += run;
      }
    }
  }
  if (count == mr) return;
  for (size_t tap = 0; tap < s.rows.taps; ++tap) {
    for (size_t i = count; i < mr; ++i) rows[tap * mr + i] = rows[tap * mr + count - 1];
  }
}

}  // namespace ptq

#endif  // PTQ_OPS_CONV_ROWS_H_
