#pragma once
#include <vector>

#include "attend/autograd/operation.hpp"

ATTEND_BEGIN

/// A parameter is trained; a buffer (a running mean) is saved with the model but not trained.
enum class Kind { parameter, buffer };

template <class S, int R>
class Edit;

namespace detail {
[[noreturn]] ATTEND_COLD inline void fail_for_moved_parameter() {
  throw OptionError("parameter", "the layer was moved elsewhere and has no values; assign to it before using it again");
}
}  // namespace detail

/// All of a parameter but its rank, so that every walker ends in one type. Read by any number of threads, edited by
/// one. One that was moved from has no values: OptionError for whoever wants them.
template <class S>
class ParameterData {
 public:
  using Scalar = S;
  // Made and dropped wherever layers are: out of line.
  ATTEND_OUT_OF_LINE ParameterData(const ParameterData& o)
      : shape_(o.shape_),
        buffer_(o.id_ ? copy_buffer(o.data(), o.size()) : nullptr),
        id_(o.id_ ? next_serial() : 0),
        trainable_(o.trainable_),
        kind_(o.kind_) {}
  ATTEND_OUT_OF_LINE ParameterData(ParameterData&& o) noexcept
      : shape_(std::move(o.shape_)),
        buffer_(std::move(o.buffer_)),
        id_(std::exchange(o.id_, 0)),
        version_(o.version_),
        trainable_(o.trainable_),
        kind_(o.kind_) {}
  ATTEND_OUT_OF_LINE ParameterData& operator=(ParameterData o) noexcept {
    shape_.swap(o.shape_);
    buffer_.swap(o.buffer_);
    id_ = o.id_, version_ = o.version_, trainable_ = o.trainable_, kind_ = o.kind_;
    drop_derived();
    return *this;
  }
  ATTEND_OUT_OF_LINE ~ParameterData() { drop_derived(); }

  std::uint64_t id() const { return id_; }  // a copy is another parameter, a moved one is the same
  std::uint64_t version() const { return version_; }
  const std::vector<Index>& shape() const {
    require_values();
    return shape_;
  }
  Index size() const { return element_count(shape()); }
  const S* data() const {
    require_values();
    return buffer_.get();
  }
  Kind kind() const { return kind_; }
  bool trainable() const { return trainable_ && kind_ == Kind::parameter; }
  /// A frozen parameter enters computations as a plain value and gets no gradient.
  void set_trainable(bool on) { trainable_ = on; }
  /// Write access to all elements in a row.
  Edit<S, 1> edit_flat() { return {*this, {size()}}; }

  /// A packed form of `count` elements, made by `build(data, form)`: by the first reader of this version, shared by
  /// all, gone with the version. Each Build type (a lambda in one place) has a form of its own.
  template <class Build>
  const S* derived(Index count, const Build& build) const {
    const void* key = &type_tag<Build>;
    Derived* first = derived_.load(std::memory_order_acquire);
    for (const Derived* d = first; d; d = d->next)
      if (d->key == key) return d->data.get();
    auto made = std::make_unique<Derived>(Derived{key, make_buffer<S>(count), first});
    build(data(), made->data.get());
    while (!derived_.compare_exchange_weak(first, made.get(), std::memory_order_acq_rel, std::memory_order_acquire)) {
      for (const Derived* d = first; d; d = d->next)
        if (d->key == key) return d->data.get();  // another thread was first
      made->next = first;
    }
    return made.release()->data.get();
  }

 protected:
  template <std::size_t R>
  ATTEND_OUT_OF_LINE ParameterData(const std::array<Index, R>& shape, Kind kind, S value)
      : shape_(shape.begin(), shape.end()), buffer_(make_buffer<S>(element_count(shape), value)), kind_(kind) {}
  void require_values() const {
    if (id_ == 0) detail::fail_for_moved_parameter();
  }
  Shared<S> buffer_before_edit() {
    require_values();
    if (buffer_.use_count() > 1) buffer_ = copy_buffer(data(), size());  // a live Variable keeps the old values
    return buffer_;
  }
  void new_version() {
    ++version_;
    drop_derived();
  }
  void drop_derived() noexcept {
    for (Derived* d = derived_.exchange(nullptr); d;) delete std::exchange(d, d->next);
  }

  struct Derived {
    const void* key;
    Shared<S> data;
    Derived* next;
  };
  template <class, int>
  friend class Edit;
  std::vector<Index> shape_;
  Shared<S> buffer_;
  std::uint64_t id_ = next_serial(), version_ = 0;
  bool trainable_ = true;
  Kind kind_;
  mutable std::atomic<Derived*> derived_{nullptr};
};

/// Write access: a TensorMap of the values; the version rises when it ends.
template <class S, int R>
class Edit : public Eigen::TensorMap<Tensor<S, R>> {
  using Map = Eigen::TensorMap<Tensor<S, R>>;

 public:
  Edit(ParameterData<S>& p, const Shape<R>& shape) : Map(p.buffer_before_edit().get(), shape), parameter_(p) {}
  Edit(const Edit&) = delete;
  ~Edit() { parameter_.new_version(); }
  using Map::operator=;

 private:
  ParameterData<S>& parameter_;
};

/// A tensor that a layer owns: read through value(), written only through edit(), named by the layer's `children`.
template <class S, int R>
class Parameter : public ParameterData<S> {
 public:
  explicit Parameter(const Shape<R>& shape, S value = S(0), Kind kind = Kind::parameter)
      : ParameterData<S>(shape, kind, value) {}
  /// Uniform in [-bound, bound].
  Parameter(const Shape<R>& shape, Rng& rng, double bound) : Parameter(shape) {
    for (Index i = 0; i < this->size(); ++i) this->buffer_.get()[i] = S(bound * (2 * rng.uniform() - 1));
  }
  Shape<R> typed_shape() const {
    this->require_values();
    Shape<R> shape{};
    for (std::size_t i = 0; i < shape.size(); ++i) shape[i] = this->shape_[i];
    return shape;
  }
  Eigen::TensorMap<const Tensor<S, R>> value() const { return {this->data(), typed_shape()}; }
  Edit<S, R> edit() { return {*this, typed_shape()}; }
  /// As a Variable on the tape of the other arguments. Without a tape it is borrowed for the call (threads that share a
  /// model do not meet at its reference counts); frozen, it is a plain value.
  template <class... V>
  Variable<S, R> on(const V&... others) const {
    Tape<S>* tape = common_tape<S>("parameter", others...);
    if (!tape) return Variable<S, R>::borrow(this->data(), typed_shape());
    if (!this->trainable()) return Variable<S, R>(typed_shape(), this->buffer_);
    return {typed_shape(), this->buffer_, tape->leaf(*this), tape->link()};
  }
};

ATTEND_END
