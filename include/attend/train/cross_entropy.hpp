#pragma once
#include "attend/kernels/loss.hpp"
#include "attend/train/target.hpp"

ATTEND_BEGIN

struct CrossEntropyOptions {
  double label_smoothing = 0;              ///< e in [0, 1]: this share of each target is spread over all classes
  std::vector<double> class_weights = {};  ///< one per class, not negative; empty: all 1
  Index ignore_index = -100;               ///< rows with this label count nothing (integer labels only)
  Reduction reduction = Reduction::mean;
};

namespace detail {
inline void check_options(const CrossEntropyOptions& o, Index classes) {
  const auto bad = [](double w) { return !(w >= 0) || std::isinf(w); };
  require<OptionError>(o.label_smoothing >= 0 && o.label_smoothing <= 1, "cross_entropy",
                       [&] { return message("label_smoothing is ", o.label_smoothing, "; it must lie in [0, 1]"); });
  require<OptionError>(
      o.class_weights.empty() || static_cast<Index>(o.class_weights.size()) == classes, "cross_entropy", [&] {
        return message("class_weights has ", o.class_weights.size(), " entries; logits have ", classes, " classes");
      });
  require<OptionError>(std::none_of(o.class_weights.begin(), o.class_weights.end(), bad), "cross_entropy",
                       [] { return "class_weights holds a weight that is negative or not finite"; });
}

template <class S, class Label, int R>
Variable<S, 0> cross_entropy_of_labels(const Variable<S, R>& logits, const Variable<Label, R - 1>& labels,
                                       const CrossEntropyOptions& o) {
  Operation<S> op("cross_entropy", logits, labels);
  const Index classes = logits.dim(-1), rows = labels.size();
  op.require(labels.shape() == without_last_axis<R>(logits.shape()), [&] {
    return message("labels have shape ", labels.shape(), "; logits ", logits.shape(), " need labels of shape ",
                   without_last_axis<R>(logits.shape()));
  });
  op.require(classes > 0 || rows == 0,
             [&] { return message("logits have shape ", logits.shape(), "; there must be at least one class"); });
  check_options(o, classes);
  const auto weights = converted<S>(o.class_weights);
  double divisor = 0;
  for (Index r = 0; r < rows; ++r) {
    const Index y = static_cast<Index>(labels.data()[r]);
    if (y == o.ignore_index) continue;
    op.require(y >= 0 && y < classes, [&] {
      return message("labels hold ", y, " at position ", r, "; labels must lie in [0, ", classes,
                     ") or be ignore_index = ", o.ignore_index);
    });
    divisor += weights ? double(weights.get()[y]) : 1;
  }
  const double scale = loss_scale(o.reduction, divisor);
  const auto stats = make_buffer<S>(2 * rows);
  loss_kernels::log_sum_exp(rows, classes, logits.data(), stats.get());
  loss_kernels::CrossEntropy<S> f{rows, classes, logits.data(), stats.get(), weights.get(), o.label_smoothing};
  const auto y = loss_result(op, loss_kernels::cross_entropy_of_labels(f, labels.data(), o.ignore_index), scale);
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(logits), xs = op.keep(logits), ls = op.keep(labels),
                  ignored = o.ignore_index](Pass<S>& pass) mutable {
      f = {rows, classes, xs.get(), stats.get(), weights.get(), f.smoothing};
      if (S* d = pass.add_to(dx))
        loss_kernels::cross_entropy_of_labels_backward(f, ls.get(), ignored, static_cast<S>(scale * *pass.of(dy)), d);
    });
  return y;
}

template <class S, int R>
Variable<S, 0> cross_entropy_of_probabilities(const Variable<S, R>& logits, const Variable<S, R>& targets,
                                              const CrossEntropyOptions& o) {
  Operation<S> op("cross_entropy", logits, targets);
  op.require(targets.shape() == logits.shape(), [&] {
    return message("targets have shape ", targets.shape(), "; class probabilities must have the shape of logits, ",
                   logits.shape());
  });
  const Index classes = logits.dim(-1), rows = classes == 0 ? 0 : logits.size() / classes;
  check_options(o, classes);
  const auto weights = converted<S>(o.class_weights);
  const double scale = loss_scale(o.reduction, static_cast<double>(rows));
  const auto stats = make_buffer<S>(2 * rows);
  loss_kernels::log_sum_exp(rows, classes, logits.data(), stats.get());
  loss_kernels::CrossEntropy<S> f{rows, classes, logits.data(), stats.get(), weights.get(), o.label_smoothing};
  const auto y = loss_result(op, loss_kernels::cross_entropy_of_probabilities(f, targets.data()), scale);
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(logits), dt = op.slot(targets), xs = op.keep(logits),
                  ts = op.keep(targets)](Pass<S>& pass) mutable {
      f = {rows, classes, xs.get(), stats.get(), weights.get(), f.smoothing};
      loss_kernels::cross_entropy_of_probabilities_backward(f, ts.get(), static_cast<S>(scale * *pass.of(dy)),
                                                            pass.add_to(dx), pass.add_to(dt));
    });
  return y;
}
}  // namespace detail

/// Softmax cross-entropy over the last axis, from logits.
///
/// logits: (..., classes) with integer labels (...), or with class probabilities (..., classes)  ->  ().
///
///   labels y:         row = (1 - e) w_y nll_y + e / classes  sum_c w_c nll_c       nll = -log softmax(logits)
///   probabilities t:  row = sum_c w_c ((1 - e) t_c + e / classes) nll_c            (their rows need not sum to 1)
///
/// mean: the sum of rows over the sum of w_y of the rows that count (labels) or over the number of rows
/// (probabilities); of nothing it is NaN. Any finite logits are safe. Saves logits, targets and two numbers per row.
/// Throws ShapeError: shapes that do not fit, a label outside [0, classes) that is not ignore_index;
/// OptionError: label_smoothing outside [0, 1], class_weights of another number or negative.
/// torch.nn.functional.cross_entropy, whose class axis is the second; label smoothing: Szegedy et al. 2016.
template <class S, int R, class Targets>
Variable<S, 0> cross_entropy(const Variable<S, R>& logits, const Targets& targets,
                             const CrossEntropyOptions& options = {}) {
  static_assert(R >= 1, "attend: cross_entropy needs logits with a class axis, the last");
  using T = detail::TargetOf<Targets>;
  constexpr bool labels = std::is_integral_v<typename T::Scalar> && T::rank == R - 1;
  constexpr bool probabilities = std::is_same_v<typename T::Scalar, S> && T::rank == R;
  static_assert(labels || probabilities,
                "attend: cross_entropy takes integer labels with one axis less than the logits, or class probabilities "
                "with the logits' scalar and axes");
  if constexpr (labels)
    return detail::cross_entropy_of_labels<S>(logits, detail::as_target(targets), options);
  else if constexpr (probabilities)
    return detail::cross_entropy_of_probabilities<S>(logits, detail::as_target(targets), options);
  else
    return logits.reshape(Shape<0>{});
}

ATTEND_END
