#pragma once
#include <cstdint>
#include <utility>

#include "attend/core/recycler.hpp"

ATTEND_BEGIN

template <class S>
class Tape;

/// Never 0, never twice. Each thread takes a million at a time, so that calls on a shared model do not meet here.
ATTEND_OUT_OF_LINE inline std::uint64_t next_serial() {
  static std::atomic<std::uint64_t> blocks{0};
  thread_local std::uint64_t last = 0, end = 0;
  if (last == end) end = (last = blocks.fetch_add(1, std::memory_order_relaxed) << 20) + (1u << 20);
  return ++last;
}
/// Identity of a value: serial number of its tape (0: on none) and its number there.
using ValueId = std::pair<std::uint64_t, std::uint64_t>;
/// Outlives its tape, and tells the tape's Variables when it is gone.
struct TapeLink {
  void* tape;
  const void* scalar;  // type_tag of the tape's scalar: an integer Variable sits on a tape of another scalar
};

/// An immutable value of rank R. It shares a recycled buffer, or borrows a user's memory during one call; copies are
/// the same value. On a tape it takes part in differentiation; otherwise, or when its tape is gone, it is a plain
/// value.
template <class S, int R>
class Variable {
 public:
  using Scalar = S;
  static constexpr int rank = R;
  // Copied and dropped in hundreds of places: out of line.
  ATTEND_OUT_OF_LINE Variable(const Variable&) = default;
  Variable(Variable&&) = default;
  ATTEND_OUT_OF_LINE Variable& operator=(const Variable&) = default;
  ATTEND_OUT_OF_LINE Variable& operator=(Variable&&) = default;
  ATTEND_OUT_OF_LINE ~Variable() = default;
  /// A plain value: a copy of the tensor.
  explicit Variable(const Tensor<S, R>& tensor)
      : Variable(shape_of(tensor), copy_buffer(tensor.data(), tensor.size())) {}
  template <class T, std::enable_if_t<TensorTraits<T>::value && !std::is_same_v<T, Tensor<S, R>>, int> = 0>
  explicit Variable(const T& tensor) : Variable(shape_of(tensor), copy_buffer<S>(tensor.data(), tensor.size())) {
    static_assert(std::is_same_v<typename TensorTraits<T>::Scalar, S> && TensorTraits<T>::rank == R,
                  "attend: a Variable is made from a tensor of its own scalar and rank");
  }

  const Shape<R>& shape() const { return shape_; }
  /// Extent of an axis; negative axes count from the last.
  Index dim(int axis) const { return shape_[static_cast<std::size_t>(axis < 0 ? axis + R : axis)]; }
  Index size() const { return element_count(shape_); }
  const S* data() const { return data_; }
  /// A copy of the values.
  Tensor<S, R> tensor() const {
    Tensor<S, R> copy(shape_);
    detail::prefer_large_pages(copy.data(), static_cast<std::size_t>(copy.size()) * sizeof(S));
    detail::copy_bulk(data_, copy.size(), copy.data());
    return copy;
  }
  /// The number itself, of a Variable without axes.
  S item() const {
    static_assert(R == 0, "attend: item() reads a scalar; this Variable has axes");
    return *data_;
  }
  /// The same value under another shape: one buffer, one gradient. ShapeError unless the sizes agree.
  template <std::size_t Q>
  Variable<S, static_cast<int>(Q)> reshape(const std::array<Index, Q>& shape) const {
    require(element_count(shape) == size(), "reshape",
            [&] { return message("x has shape ", shape_, "; it cannot become ", shape); });
    Variable<S, static_cast<int>(Q)> same(shape, buffer_, id_, link_);
    same.data_ = data_;
    return same;
  }
  /// The same numbers as a plain value: nothing computed from it is differentiated through it.
  Variable detach() const { return Variable(shape_, buffer_ ? buffer_ : copy_buffer(data_, size())); }

  // ---- for operations ----
  Variable(const Shape<R>& shape, Shared<S> buffer, ValueId id = {}, Shared<TapeLink> link = nullptr)
      : shape_(shape), data_(buffer.get()), buffer_(std::move(buffer)), id_(id), link_(std::move(link)) {}
  static Variable borrow(const S* data, const Shape<R>& shape) {
    Variable v(shape, nullptr, {0, next_serial()});
    v.data_ = data;
    return v;
  }
  /// The same value as a constant on another value's tape.
  Variable beside(const Shared<TapeLink>& link) const {
    Variable v(*this);
    v.link_ = link;
    return v;
  }
  Variable owned() const { return buffer_ ? *this : Variable(shape_, copy_buffer(data_, size()), id_, link_); }
  const Shared<S>& buffer() const { return buffer_; }  // null: borrowed
  const ValueId& id() const { return id_; }
  Shared<TapeLink> link() const { return link_ && link_->tape ? link_ : nullptr; }  // null: a plain value
  const Shared<TapeLink>& raw_link() const { return link_; }                        // also of a tape that is gone

 private:
  template <class, int>
  friend class Variable;
  Shape<R> shape_;
  const S* data_;
  Shared<S> buffer_;
  ValueId id_;
  Shared<TapeLink> link_;
};

template <class T>
struct IsVariable : std::false_type {};
template <class S, int R>
struct IsVariable<Variable<S, R>> : std::true_type {};

ATTEND_END
