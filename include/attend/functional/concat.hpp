#pragma once
#include "attend/functional/shape.hpp"

ATTEND_BEGIN

namespace detail {
/// Writes each value into its place of one result; the rest of the result is `fill`.
template <class S, int R, int Q>
Variable<S, Q> place_all(const char* name, const std::vector<Variable<S, R>>& values, const Shape<Q>& shape,
                         const std::vector<Strided>& places, S fill, bool covers) {
  const auto* carrier = &values.front();
  for (const auto& v : values)
    if (!carrier->link() && v.link()) carrier = &v;
  Operation<S> op(name, *carrier);
  for (const auto& v : values) {
    (void)common_tape<S>(name, *carrier, v);
    if (!op.tape()) continue;
    op.tape()->use(v);
    op.depend_on(op.slot(v));
  }
  const auto y = op.result(shape);
  if (!covers) std::fill_n(op.data(y), y.size(), fill);
  for (std::size_t i = 0; i < values.size(); ++i) strided_scatter(places[i], values[i].data(), op.data(y));
  if (op.records()) {
    std::vector<Slot> slots;
    for (const auto& v : values) slots.push_back(op.slot(v));
    op.record(y, [places, slots, dy = op.slot(y)](Pass<S>& pass) {
      for (std::size_t i = 0; i < slots.size(); ++i)
        if (S* d = pass.add_to(slots[i])) strided_gather_add(places[i], pass.of(dy), d);
    });
  }
  return y;
}
template <class S, int R>
void require_values(const char* name, const std::vector<Variable<S, R>>& values) {
  require<OptionError>(!values.empty(), name, [] { return "there are no values; there must be at least one"; });
}
}  // namespace detail

/// The values one after another along an axis; all other extents are equal.  concat({a, b, c}, -1).  Saves nothing.
/// Throws ShapeError where another extent differs, OptionError for no values.  torch.cat
template <class S, int R>
Variable<S, R> concat(const std::vector<Variable<S, R>>& values, int axis) {
  detail::require_values("concat", values);
  const Operation<S> op("concat", values.front());
  const std::size_t a = detail::axis_of(op, values.front(), axis);
  Shape<R> shape = values.front().shape();
  shape[a] = 0;
  for (const auto& v : values) {
    Shape<R> other = v.shape();
    other[a] = shape[a];
    op.require(other == shape, [&] {
      return message("a value has shape ", v.shape(), "; but for axis ", a, " it must equal the first value's ",
                     values.front().shape());
    });
    shape[a] += v.shape()[a];
  }
  const auto steps = row_major_steps(shape);
  std::vector<Strided> places;
  Index begin = 0;
  for (const auto& v : values) {
    places.emplace_back(v.shape(), steps, begin * steps[a]);
    begin += v.shape()[a];
  }
  return detail::place_all<S, R, R>("concat", values, shape, places, S(0), true);
}
template <class S, int R>
Variable<S, R> concat(std::initializer_list<Variable<S, R>> values, int axis) {
  return concat(std::vector<Variable<S, R>>(values), axis);
}

/// The values side by side along a new axis: n times (...) -> (..., n, ...).  Saves nothing.  Throws ShapeError where
/// shapes differ, OptionError for no values.  torch.stack
template <class S, int R>
Variable<S, R + 1> stack(const std::vector<Variable<S, R>>& values, int axis) {
  detail::require_values("stack", values);
  require(axis >= -R - 1 && axis <= R, "stack", [&] {
    return message("the values have shape ", values.front().shape(), "; the new axis must lie in [", -R - 1, ", ", R,
                   "], but is ", axis);
  });
  const auto a = static_cast<std::size_t>(axis < 0 ? axis + R + 1 : axis);
  Shape<R + 1> one{};
  for (std::size_t i = 0, k = 0; i <= static_cast<std::size_t>(R); ++i)
    one[i] = i == a ? 1 : values.front().shape()[k++];
  std::vector<Variable<S, R + 1>> thick;
  for (const auto& v : values) {
    require(v.shape() == values.front().shape(), "stack", [&] {
      return message("a value has shape ", v.shape(), "; it must equal the first value's ", values.front().shape());
    });
    thick.push_back(v.reshape(one));
  }
  return concat(thick, axis);
}
template <class S, int R>
Variable<S, R + 1> stack(std::initializer_list<Variable<S, R>> values, int axis) {
  return stack(std::vector<Variable<S, R>>(values), axis);
}

/// Sequences of different lengths as one batch: each (length, ...) -> (n, longest, ...), `value` beyond each length.
/// Saves nothing.  Throws ShapeError where another extent differs.  torch.nn.utils.rnn.pad_sequence(batch_first=True)
template <class S, int R>
Variable<S, R + 1> pad_sequences(const std::vector<Variable<S, R>>& sequences, double value = 0) {
  detail::require_values("pad_sequences", sequences);
  Shape<R + 1> shape{};
  std::copy(sequences.front().shape().begin(), sequences.front().shape().end(), shape.begin() + 1);
  shape[0] = static_cast<Index>(sequences.size());
  for (const auto& v : sequences) {
    require(std::equal(v.shape().begin() + 1, v.shape().end(), shape.begin() + 2), "pad_sequences", [&] {
      return message("a sequence has shape ", v.shape(), "; but for its length it must equal the first one's ",
                     sequences.front().shape());
    });
    shape[1] = std::max(shape[1], v.dim(0));
  }
  const auto steps = row_major_steps(shape);
  Shape<R> inner{};
  std::copy(steps.begin() + 1, steps.end(), inner.begin());
  std::vector<Strided> places;
  for (std::size_t i = 0; i < sequences.size(); ++i)
    places.emplace_back(sequences[i].shape(), inner, static_cast<Index>(i) * steps[0]);
  return detail::place_all<S, R, R + 1>("pad_sequences", sequences, shape, places, S(value), false);
}

ATTEND_END
