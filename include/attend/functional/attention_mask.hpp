#pragma once
/// Which query may attend to which key: the types that calls take, all combined by "and".
#include <memory>
#include <vector>

#include "attend/autograd/variable.hpp"
#include "attend/kernels/attention_mask.hpp"

ATTEND_BEGIN

/// A query attends to its own position and those before it. `true` is legal only for as many queries as keys; otherwise
/// say which corner of the (queries, keys) matrix the diagonal starts from: top_left as PyTorch's is_causal,
/// bottom_right for decoding with a cache, where the last query is the last key.
class Causal {
 public:
  enum Corner { none, equal_lengths, top_left, bottom_right };
  constexpr Causal(Corner corner = none) : corner_(corner) {}
  template <class B, std::enable_if_t<std::is_same_v<B, bool>, int> = 0>
  constexpr Causal(B on) : corner_(on ? equal_lengths : none) {}
  constexpr Corner corner() const { return corner_; }

 private:
  Corner corner_;
};

/// How many keys of each sample exist; those from there on are padding. Owns its numbers; copies share them. From a
/// rank-1 tensor of integers, a vector of integers, or braces.
class KeyLengths {
 public:
  KeyLengths() = default;
  KeyLengths(std::initializer_list<Index> lengths) : KeyLengths(lengths.begin(), static_cast<Index>(lengths.size())) {}
  template <class I, class A, std::enable_if_t<std::is_integral_v<I> && !std::is_same_v<I, bool>, int> = 0>
  KeyLengths(const std::vector<I, A>& lengths) : KeyLengths(lengths.data(), static_cast<Index>(lengths.size())) {}
  template <class T, std::enable_if_t<TensorTraits<T>::value, int> = 0>
  KeyLengths(const T& lengths) : KeyLengths(lengths.data(), lengths.size()) {
    using Number = typename TensorTraits<T>::Scalar;
    static_assert(TensorTraits<T>::rank == 1 && std::is_integral_v<Number> && !std::is_same_v<Number, bool>,
                  "attend: lengths are integers, one per sample: a tensor of rank 1");
  }
  const std::vector<Index>* get() const { return lengths_.get(); }

 private:
  template <class I>
  KeyLengths(const I* lengths, Index count) {
    std::vector<Index> copy(static_cast<std::size_t>(count));
    std::transform(lengths, lengths + count, copy.begin(), [](I n) { return static_cast<Index>(n); });
    lengths_ = std::make_shared<const std::vector<Index>>(std::move(copy));
  }
  Shared<const std::vector<Index>> lengths_;
};

namespace detail {
/// A tensor of bool that owns its values; copies share them.
template <int R>
struct SharedMask {
  Shape<R> shape{};
  Shared<const bool> values;
  explicit operator bool() const { return values != nullptr; }
  /// Distance in memory from one index of an axis to the next; 0 where the axis is broadcast.
  Index stride(std::size_t axis) const {
    if (shape[axis] == 1) return 0;
    Index step = 1;
    for (std::size_t i = axis + 1; i < shape.size(); ++i) step *= shape[i];
    return step;
  }
};
template <int R, class T>
SharedMask<R> shared_mask(const T& tensor, const Shape<R>& shape) {
  return {shape, copy_buffer<bool>(tensor.data(), tensor.size())};
}
}  // namespace detail

/// true = may attend, as PyTorch's scaled_dot_product_attention and ONNX have it.  (batch|1, heads|1, queries|1,
/// keys|1), or (queries, keys) for all samples and heads. Owns its values; copies share them.
class AttendMask {
 public:
  AttendMask() = default;
  template <class T, std::enable_if_t<TensorTraits<T>::value, int> = 0>
  explicit AttendMask(const T& allowed) {
    static_assert(
        std::is_same_v<typename TensorTraits<T>::Scalar, bool> &&
            (TensorTraits<T>::rank == 4 || TensorTraits<T>::rank == 2),
        "attend: an AttendMask is made of a bool tensor (batch|1, heads|1, queries|1, keys|1) or (queries, keys)");
    if constexpr (TensorTraits<T>::rank == 4)
      mask_ = detail::shared_mask<4>(allowed, shape_of(allowed));
    else
      mask_ = detail::shared_mask<4>(allowed, {1, 1, allowed.dimension(0), allowed.dimension(1)});
  }
  const detail::SharedMask<4>& get() const { return mask_; }

 private:
  detail::SharedMask<4> mask_;
};

/// true = ignore this key, as key_padding_mask of PyTorch's MultiheadAttention.  (batch|1, keys). Owns its values;
/// copies share them.
class PaddingMask {
 public:
  PaddingMask() = default;
  template <class T, std::enable_if_t<TensorTraits<T>::value, int> = 0>
  explicit PaddingMask(const T& ignored) {
    static_assert(std::is_same_v<typename TensorTraits<T>::Scalar, bool> && TensorTraits<T>::rank == 2,
                  "attend: a PaddingMask is made of a bool tensor (batch|1, keys)");
    mask_ = detail::shared_mask<2>(ignored, shape_of(ignored));
  }
  const detail::SharedMask<2>& get() const { return mask_; }

 private:
  detail::SharedMask<2> mask_;
};

/// Sliding window: a query sees at most `left` keys before its own position and `right` keys after it (FlashAttention's
/// window_size, Mistral's sliding_window = left + 1). Positions start from the corner that `causal` names; without one
/// the lengths must be equal.
struct Window {
  static constexpr Index unlimited = AttentionMask::unlimited;
  Index left = unlimited;
  Index right = unlimited;
};

/// The masks of one call. A key takes part for a query if every given one allows it; a query left without any gets
/// zeros.
struct AttentionMasks {
  Causal causal = Causal::none;
  KeyLengths keys = {};
  AttendMask mask = {};
  PaddingMask padding = {};
  Window window = {};
};

/// The masks of one call, checked against the scores (batch, heads, queries, keys). It shares what they own, so a
/// backward pass may keep it. The last `appended` keys are beyond all masks.
class MayAttend {
 public:
  MayAttend(const char* operation, const AttentionMasks& masks, const Shape<4>& scores, Index appended = 0)
      : scores_(scores), lengths_(masks.keys), allowed_(masks.mask), ignored_(masks.padding) {
    const Index batch = scores[0], queries = scores[2], keys = scores[3] - appended;
    mask_.keys = keys;
    mask_.appended = appended;
    set_diagonal(operation, masks, queries, keys);
    if (const auto* lengths = lengths_.get()) {
      require(static_cast<Index>(lengths->size()) == batch, operation, [&] {
        return message("keys has shape (", lengths->size(), "); it must hold one length per sample: (", batch, ")");
      });
      for (std::size_t b = 0; b < lengths->size(); ++b)
        require((*lengths)[b] >= 0 && (*lengths)[b] <= keys, operation, [&] {
          return message("keys holds ", (*lengths)[b], " for sample ", b, "; lengths must lie in [0, ", keys,
                         "], the number of keys");
        });
      mask_.lengths = lengths->data();
    }
    if (const auto& allowed = allowed_.get()) {
      const Shape<4> full{batch, scores[1], queries, keys};
      for (std::size_t i = 0; i < 4; ++i) {
        require(allowed.shape[i] == 1 || allowed.shape[i] == full[i], operation, [&] {
          return message("mask has shape ", allowed.shape, "; each axis must be 1 or that of the scores ", full);
        });
        mask_.allowed_stride[i] = allowed.stride(i);
      }
      mask_.allowed = allowed.values.get();
    }
    if (const auto& ignored = ignored_.get()) {
      require((ignored.shape[0] == 1 || ignored.shape[0] == batch) && ignored.shape[1] == keys, operation, [&] {
        return message("padding has shape ", ignored.shape, "; it must be ", Shape<2>{batch, keys}, " or ",
                       Shape<2>{1, keys}, ", one entry per key");
      });
      mask_.ignored_stride = {ignored.stride(0), ignored.stride(1)};
      mask_.ignored = ignored.values.get();
    }
  }
  ATTEND_OUT_OF_LINE MayAttend(const MayAttend&) = default;
  ATTEND_OUT_OF_LINE ~MayAttend() = default;
  const AttentionMask& kernel() const { return mask_; }
  /// The scores that it was checked against: (batch, heads, queries, keys).
  const Shape<4>& scores() const { return scores_; }
  bool operator()(Index b, Index h, Index i, Index j) const { return mask_.may_attend(b, h, i, j); }

 private:
  void set_diagonal(const char* operation, const AttentionMasks& masks, Index queries, Index keys) {
    const auto corner = masks.causal.corner();
    const auto [left, right] = masks.window;
    const bool windowed = left != Window::unlimited || right != Window::unlimited;
    const auto lengths = [&] { return message(queries, " queries and ", keys, " keys"); };
    require<OptionError>(left >= 0 && right >= 0, operation, [&, left = left, right = right] {
      return message("window is {", left, ", ", right, "}; both sides must be 0 or more");
    });
    require<OptionError>(corner != Causal::equal_lengths || queries == keys, operation, [&] {
      return message("causal = true with ", lengths(), "; choose Causal::top_left or Causal::bottom_right");
    });
    require<OptionError>(!windowed || corner != Causal::none || queries == keys, operation, [&] {
      return message("window with ", lengths(),
                     "; say by causal = Causal::top_left or Causal::bottom_right where positions start");
    });
    const Index start = corner == Causal::bottom_right ? keys - queries : 0;
    if (windowed) {
      mask_.lowest = start - std::min(left, Window::unlimited / 2);
      mask_.highest = start + std::min(right, Window::unlimited / 2);
    }
    if (corner != Causal::none) mask_.highest = std::min(mask_.highest, start);
  }
  Shape<4> scores_;
  KeyLengths lengths_;
  AttendMask allowed_;
  PaddingMask ignored_;
  AttentionMask mask_;
};

ATTEND_END
