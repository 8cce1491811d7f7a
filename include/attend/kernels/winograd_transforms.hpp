/// The transforms of Winograd's convolution (winograd.hpp), for each instruction set.
#ifndef ATTEND_KERNELS_WINOGRAD_TRANSFORMS
#define ATTEND_KERNELS_WINOGRAD_TRANSFORMS
#include "attend/kernels/gemm_tile.hpp"

ATTEND_BEGIN
namespace winograd {

/// Where a tile of results goes: `rows` x `columns` pixels, at most m each, `channels` numbers of each.
template <class S>
struct Target {
  S* y;
  Index row, column;  // numbers from one pixel to the one below, to the one on the right
  Index rows, columns, channels;
  bool adds;  // to what y holds
  GemmEpilogue<S> epilogue;
};

/// The kernels of an instruction set, for tiles of one size m; planes lie `plane` apart.
template <class S>
struct Transforms {
  /// planes[p][c] = element p of B^T d B, for `channels` (a multiple of a vector) of the pixels d[i row + j column].
  void (*input)(const S* d, Index row, Index column, Index channels, S* planes, Index plane);
  /// A^T (planes[p]) A to the target.
  void (*output)(const S* planes, Index plane, const Target<S>& to);
  /// taps[tap][o] of `cols` columns o, whose 9 taps start `step` apart; zeros up to `width`.
  void (*take_taps)(const S* weight, Index step, Index cols, Index width, const S* end, S* taps);
  /// planes[p][o] = element p of G g G^T for `width` columns o of such taps, or of taps `turned` by half a circle.
  void (*weight)(const S* taps, Index width, bool turned, S* planes, Index plane);
};

}  // namespace winograd
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/winograd_transforms.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH_OF(winograd_transforms)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace winograd {

using attend::winograd::Target;
using simd::all;
using simd::multiply_add;

/// The three transforms along one axis, of vectors.
template <int m>
struct Transform;

template <>
struct Transform<2> {
  template <class V>
  ATTEND_INLINE static void input(const V (&d)[4], V (&t)[4]) {
    t[0] = d[0] - d[2];
    t[1] = d[1] + d[2];
    t[2] = d[2] - d[1];
    t[3] = d[3] - d[1];
  }
  template <class V>
  ATTEND_INLINE static void weight(const V (&g)[3], V (&t)[4]) {
    const V half = all<V>(simd::Scalar<V>(0.5)), even = g[0] + g[2];
    t[0] = g[0];
    t[1] = half * (even + g[1]);
    t[2] = half * (even - g[1]);
    t[3] = g[2];
  }
  template <class V>
  ATTEND_INLINE static void output(const V (&t)[4], V (&y)[2]) {
    y[0] = t[0] + (t[1] + t[2]);
    y[1] = (t[1] - t[2]) + t[3];
  }
};

template <>
struct Transform<4> {
  static constexpr double a = 0.70710678118654752440, b = 1.41421356237309504880;  // the points; a a = 1/2, b b = 2
  template <class V>
  ATTEND_INLINE static V times(double factor, V x) {
    return all<V>(simd::Scalar<V>(factor)) * x;
  }
  template <class V>
  ATTEND_INLINE static V add(double factor, V x, V to) {  // to + factor x
    return multiply_add(all<V>(simd::Scalar<V>(factor)), x, to);
  }
  template <class V>
  ATTEND_INLINE static void input(const V (&d)[6], V (&t)[6]) {
    const V even_a = add(-2, d[2], d[4]), odd_a = add(-2, d[1], d[3]);
    const V even_b = add(-0.5, d[2], d[4]), odd_b = add(-0.5, d[1], d[3]);
    t[0] = add(-2.5, d[2], d[0] + d[4]);
    t[1] = add(a, odd_a, even_a);
    t[2] = add(-a, odd_a, even_a);
    t[3] = add(b, odd_b, even_b);
    t[4] = add(-b, odd_b, even_b);
    t[5] = add(-2.5, d[3], d[1] + d[5]);
  }
  template <class V>
  ATTEND_INLINE static void weight(const V (&g)[3], V (&t)[6]) {
    const V even_a = add(0.5, g[2], g[0]), even_b = add(2, g[2], g[0]);
    t[0] = g[0];
    t[1] = times(-2.0 / 3, add(a, g[1], even_a));
    t[2] = times(-2.0 / 3, add(-a, g[1], even_a));
    t[3] = times(1.0 / 6, add(b, g[1], even_b));
    t[4] = times(1.0 / 6, add(-b, g[1], even_b));
    t[5] = g[2];
  }
  template <class V>
  ATTEND_INLINE static void output(const V (&t)[6], V (&y)[4]) {
    const V sum_a = t[1] + t[2], sum_b = t[3] + t[4], odd_a = t[1] - t[2], odd_b = t[3] - t[4];
    y[0] = t[0] + (sum_a + sum_b);
    y[1] = add(b, odd_b, times(a, odd_a));
    y[2] = add(2, sum_b, times(0.5, sum_a));
    y[3] = add(2 * b, odd_b, add(a / 2, odd_a, t[5]));
  }
};

template <int m, class S>
ATTEND_OUT_OF_LINE void transform_input(const S* d, Index row, Index column, Index channels, S* planes, Index plane) {
  constexpr int n = m + 2;
  using V = simd::Vector<S>;
  for (Index c = 0; c < channels; c += simd::lanes<S>) {
    V half[n][n], line[n], t[n];
#pragma GCC unroll 8
    for (int j = 0; j < n; ++j) {
#pragma GCC unroll 8
      for (int i = 0; i < n; ++i) line[i] = simd::load(d + i * row + j * column + c);
      Transform<m>::input(line, t);
#pragma GCC unroll 8
      for (int i = 0; i < n; ++i) half[i][j] = t[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) {
      Transform<m>::input(half[i], t);
#pragma GCC unroll 8
      for (int j = 0; j < n; ++j) simd::store(planes + (i * n + j) * plane + c, t[j]);
    }
  }
}

template <int m, class S>
ATTEND_OUT_OF_LINE void transform_output(const S* planes, Index plane, const Target<S>& to) {
  constexpr int n = m + 2;
  constexpr Index lanes = simd::lanes<S>;
  using V = simd::Vector<S>;
  for (Index c = 0; c < to.channels; c += lanes) {
    const Index count = std::min(lanes, to.channels - c);
    V half[m][n], line[n], y[m], tile[m][m];
#pragma GCC unroll 8
    for (int j = 0; j < n; ++j) {
#pragma GCC unroll 8
      for (int i = 0; i < n; ++i) line[i] = simd::load(planes + (i * n + j) * plane + c);
      Transform<m>::output(line, y);
#pragma GCC unroll 8
      for (int i = 0; i < m; ++i) half[i][j] = y[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < m; ++i) Transform<m>::output(half[i], tile[i]);
    const auto load = [count](const S* p) { return count == lanes ? simd::load(p) : simd::load_part(p, count); };
    const V bias = to.epilogue.bias ? load(to.epilogue.bias + c) : V{};
    const V scale = to.epilogue.scale ? load(to.epilogue.scale + c) : all<V>(S(1));
    for (Index i = 0; i < to.rows; ++i)
      for (Index j = 0; j < to.columns; ++j) {
        const Index at = i * to.row + j * to.column + c;
        V value = multiply_add(tile[i][j], scale, bias);
        if (to.adds) value += load(to.y + at);
        if (to.epilogue.residual) value += load(to.epilogue.residual + at);
        if (to.epilogue.relu) value = simd::select(value < S(0), V{}, value);
        if (count == lanes)
          simd::store(to.y + at, value);
        else
          simd::store_part(to.y + at, value, count);
      }
  }
}

template <class S>
void take_taps(const S* weight, Index step, Index cols, Index width, const S* end, S* taps) {
  constexpr Index lanes = simd::lanes<S>;
  if constexpr (lanes > 9)
    if (cols == width && weight + (cols - 1) * step + lanes <= end) {
      for (Index o = 0; o < width; o += lanes) {
        simd::Vector<S> square[lanes];
#pragma GCC unroll 16
        for (Index i = 0; i < lanes; ++i) square[i] = simd::load(weight + (o + i) * step);
        simd::transpose(square);
#pragma GCC unroll 16
        for (Index t = 0; t < 9; ++t) simd::store(taps + t * width + o, square[t]);
      }
      return;
    }
  gemm_tile::pack_strip(Side::transposed, 9, cols, width, weight, step, taps);
}

template <int m, class S>
ATTEND_OUT_OF_LINE void transform_weight(const S* taps, Index width, bool turned, S* planes, Index plane) {
  constexpr int size = m + 2;
  using V = simd::Vector<S>;
  for (Index o = 0; o < width; o += simd::lanes<S>) {
    V half[size][3], line[3], t[size];
#pragma GCC unroll 1
    for (int u = 0; u < 3; ++u) {  // few instructions: weights are seldom packed
#pragma GCC unroll 8
      for (int r = 0; r < 3; ++r) line[r] = simd::load(taps + (turned ? 8 - (r * 3 + u) : r * 3 + u) * width + o);
      Transform<m>::weight(line, t);
#pragma GCC unroll 8
      for (int r = 0; r < size; ++r) half[r][u] = t[r];
    }
#pragma GCC unroll 1
    for (int r = 0; r < size; ++r) {
      Transform<m>::weight(half[r], t);
#pragma GCC unroll 8
      for (int u = 0; u < size; ++u) simd::store(planes + (r * size + u) * plane + o, t[u]);
    }
  }
}

template <int m, class S>
constexpr attend::winograd::Transforms<S> transforms = {transform_input<m, S>, transform_output<m, S>, take_taps<S>,
                                                        transform_weight<m, S>};

}  // namespace winograd

template <class S>
const attend::winograd::Transforms<S>* winograd_transforms(Index m) {
  return m == 2 ? &winograd::transforms<2, S> : &winograd::transforms<4, S>;
}

ATTEND_END_ISA
#endif
