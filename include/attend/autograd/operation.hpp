#pragma once
#include "attend/autograd/destination.hpp"
#include "attend/autograd/tape.hpp"

ATTEND_BEGIN

/// The frame of a differentiable function: check, compute into a result, and if any argument asks for it, record.
///
///     template <class S, int R> Variable<S, R> square(const Variable<S, R>& x) {
///       Operation<S> op("square", x);
///       const auto y = op.result(x.shape());
///       for (Index i = 0; i < x.size(); ++i) op.data(y)[i] = x.data()[i] * x.data()[i];
///       if (op.records()) op.record(y, [dy = op.slot(y), dx = op.slot(x), kept = op.keep(x)](Pass<S>& pass) {
///         S* g = pass.add_to(dx);  // or, for every element a term, pass.accumulate(dx): the first term is stored
///         for (Index i = 0; i < dx.size; ++i) g[i] += 2 * kept.get()[i] * pass.of(dy)[i];
///       });
///       return y;
///     }
template <class S>
class Operation {
 public:
  template <class... V>
  explicit Operation(const char* name, const V&... inputs) : name_(name), tape_(common_tape<S>(name, inputs...)) {
    if (tape_) (note(inputs), ...);
  }
  template <class Text>
  void require(bool ok, Text&& text) const {
    attend::require(ok, name_, std::forward<Text>(text));
  }
  /// A new value with uninitialised memory.
  template <std::size_t R>
  Variable<S, static_cast<int>(R)> result(const std::array<Index, R>& shape) const {
    const Index size = element_count(shape);
    using V = Variable<S, static_cast<int>(R)>;
    return tape_ ? V(shape, make_buffer<S>(size), tape_->new_node(size, records_), tape_->link())
                 : V(shape, Destination::buffer<S>(size));
  }
  /// Where to write a result of this operation.
  template <int R>
  S* data(const Variable<S, R>& result) const {
    return result.buffer().get();
  }
  /// Whether a backward pass may come by; only then is anything saved.
  bool records() const { return records_; }
  bool training() const { return tape_ && tape_->mode() == Mode::training; }
  Tape<S>* tape() const { return tape_; }
  template <int R>
  Slot slot(const Variable<S, R>& v) const {
    return tape_->slot(v);
  }
  /// Shares a value's memory with the tape, or copies what is borrowed, once; null unless `needed`.
  template <class T, int R>
  Shared<const T> keep(const Variable<T, R>& v, bool needed = true) const {
    return needed ? tape_->keep(v) : nullptr;
  }
  /// `backward(pass)` adds to the inputs' gradients what the gradient of `result` gives.
  template <int R, class F>
  void record(const Variable<S, R>& result, F&& backward) const {
    tape_->record(result.id().second, result.id().second, std::forward<F>(backward));
  }
  /// Of an operation with several results, made one after another: runs when a gradient reached any of them, so
  /// `pass.of(slot)` of another may be null.
  template <class F, int A, int B>
  void record_between(const Variable<S, A>& first, const Variable<S, B>& last, F&& backward) const {
    tape_->record(first.id().second, last.id().second, std::forward<F>(backward));
  }
  /// Makes the operation differentiable for the sake of parameters that are not among its arguments.
  void depend_on(const Slot& parameter) { records_ = records_ || parameter.differentiable; }

 private:
  template <int R>
  void note(const Variable<S, R>& v) {
    tape_->use(v);
    records_ = records_ || tape_->slot(v).differentiable;
  }
  template <class T, int R>
  void note(const Variable<T, R>&) {}  // integers
  const char* name_;
  Tape<S>* tape_;
  bool records_ = false;
};

ATTEND_END
