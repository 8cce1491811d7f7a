#pragma once
#include "attend/autograd/tape.hpp"

ATTEND_BEGIN

/// The frame of a differentiable function: check, compute into a result, and if any argument asks for it, record.
template <class S>
class Operation {
 public:
  template <class... V> explicit Operation(const char* name, const V&... inputs) : name_(name), tape_(common_tape<S>(name, inputs...)) {
    if (tape_) (note(inputs), ...);
  }
  template <class Text> void require(bool ok, Text&& text) const { attend::require(ok, name_, std::forward<Text>(text)); }
  /// A new value with uninitialised memory.
  template <std::size_t R> Variable<S, static_cast<int>(R)> result(const std::array<Index, R>& shape) const {
    const Index size = element_count(shape);
    using V = Variable<S, static_cast<int>(R)>;
    return tape_ ? V(shape, make_buffer<S>(size), tape_->new_node(size, records_), tape_->link()) : V(shape, make_buffer<S>(size));
  }
  template <int R> S* data(const Variable<S, R>& result) const { return result.buffer().get(); }
  bool records() const { return records_; }
  bool training() const { return tape_ && tape_->mode() == Mode::training; }
  Tape<S>* tape() const { return tape_; }
  template <int R> Slot slot(const Variable<S, R>& v) const { return tape_->slot(v); }
  template <class T, int R> std::shared_ptr<const T> keep(const Variable<T, R>& v, bool needed = true) const { return needed ? tape_->keep(v) : nullptr; }
  template <int R, class F> void record(const Variable<S, R>& result, F&& backward) const { tape_->record(result.id().second, std::forward<F>(backward)); }

 private:
  template <int R> void note(const Variable<S, R>& v) {
    tape_->use(v);
    records_ = records_ || tape_->slot(v).differentiable;
  }
  template <class T, int R> void note(const Variable<T, R>&) {}  // integers
  const char* name_;
  Tape<S>* tape_;
  bool records_ = false;
};

ATTEND_END
