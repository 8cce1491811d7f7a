#pragma once
#include "attend/kernels/activation.hpp"
#include "attend/kernels/dice.hpp"
#include "attend/kernels/softmax.hpp"
#include "attend/train/target.hpp"

ATTEND_BEGIN

struct DiceOptions {
  double smooth = 1e-5;        ///< s > 0, in numerator and denominator; a class absent from both then costs nothing
  bool squared = false;        ///< the denominator sums squares (Milletari et al. 2016) instead of values
  bool pooled = false;         ///< one overlap per class over the whole batch, instead of one per sample and class
  bool background = true;      ///< false: class 0 does not count (if there are several)
  bool probabilities = false;  ///< x holds probabilities already, not logits
  Index ignore_index = -100;   ///< positions with this label count nothing (integer labels only)
  Reduction reduction = Reduction::mean;  ///< over samples and classes
};

/// Soft Dice loss for segmentation, from logits.
///
///   per sample and class:  1 - (2 sum p t + s) / (sum p + sum t + s),  sums over the positions
///
/// x: (batch, ..., classes)  ->  ()
///   targets (batch, ..., classes), of x's scalar or integers 0 and 1: p = sigmoid(x), each class on its own;
///   integer labels (batch, ...): p = softmax(x) over several classes, t = one-hot; with one class, p = sigmoid(x) and
///   labels are 0 and 1.
/// Saves p and the targets. Throws ShapeError: shapes that do not fit, a label out of range; OptionError: smooth <= 0.
/// Milletari et al. 2016 (V-Net); the same numbers as monai.losses.DiceLoss with smooth_nr = smooth_dr = s.
template <class S, int R, class Targets>
Variable<S, 0> dice(const Variable<S, R>& x, const Targets& targets, const DiceOptions& o = {}) {
  static_assert(R >= 2, "attend: dice needs a batch axis, the first, and a class axis, the last");
  using T = detail::TargetOf<Targets>;
  constexpr bool labelled = std::is_integral_v<typename T::Scalar> && T::rank == R - 1;
  static_assert(
      labelled || (T::rank == R && (std::is_same_v<typename T::Scalar, S> || std::is_integral_v<typename T::Scalar>)),
      "attend: dice takes integer labels with one axis less than x, or targets with x's axes");
  const T t = detail::as_target(targets);
  Operation<S> op("dice", x, t);
  require<OptionError>(o.smooth > 0 && std::isfinite(o.smooth), "dice", [&] {
    return message("smooth is ", o.smooth, "; it must be positive, or an absent class gives 0 / 0");
  });
  const Index batch = x.dim(0), channels = x.dim(-1), rows = channels == 0 ? 0 : x.size() / channels;
  if constexpr (labelled) {
    op.require(t.shape() == detail::without_last_axis<R>(x.shape()), [&] {
      return message("labels have shape ", t.shape(), "; x ", x.shape(), " needs labels of shape ",
                     detail::without_last_axis<R>(x.shape()));
    });
    const Index limit = std::max<Index>(channels, 2);
    for (Index r = 0; r < rows; ++r) {
      const Index y = static_cast<Index>(t.data()[r]);
      op.require((y >= 0 && y < limit) || y == o.ignore_index, [&] {
        return message("labels hold ", y, " at position ", r, "; labels must lie in [0, ", limit,
                       ") or be ignore_index = ", o.ignore_index);
      });
    }
  } else {
    op.require(t.shape() == x.shape(), [&] {
      return message("targets have shape ", t.shape(), "; they must have the shape of x, ", x.shape());
    });
  }
  const dice_kernels::Sizes sizes{batch,     batch == 0 ? 0 : rows / batch,
                                  channels,  o.pooled,
                                  o.squared, !o.background && channels > 1 ? Index(1) : Index(0),
                                  o.smooth};
  const bool softmax = labelled && channels > 1;
  Shared<const S> p;
  if (!o.probabilities) {
    const auto made = make_buffer<S>(x.size());
    if (softmax)
      softmax_forward(rows, channels, Index(1), x.data(), made.get());
    else
      elementwise_forward(activation::Sigmoid{}, x.size(), x.data(), made.get());
    p = made;
  }
  const auto target_from = [sizes, channels](const typename T::Scalar* values) {
    return [=](Index b, Index position, Index c) {
      if constexpr (labelled)
        return static_cast<Index>(values[b * sizes.positions + position]) == (channels == 1 ? 1 : c) ? 1.0 : 0.0;
      else
        return static_cast<double>(values[(b * sizes.positions + position) * channels + c]);
    };
  };
  const auto counts_from = [sizes, ignored = o.ignore_index](const typename T::Scalar* values) {
    return [=](Index b, Index position) {
      return !labelled || static_cast<Index>(values[b * sizes.positions + position]) != ignored;
    };
  };
  const auto groups =
      dice_kernels::overlaps(sizes, p ? p.get() : x.data(), target_from(t.data()), counts_from(t.data()));
  const double number =
      static_cast<double>(sizes.groups() / std::max<Index>(1, channels) * (channels - sizes.first_channel));
  const double scale = detail::loss_scale(o.reduction, number);
  const auto y = detail::loss_result(op, dice_kernels::loss(sizes, groups), scale);
  if (op.records()) {
    if (!p) p = op.keep(x);
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x), dt = detail::target_slot(op, t), ts = op.keep(t),
                  logits = !o.probabilities](Pass<S>& pass) {
      S *to_x = pass.add_to(dx), *to_t = pass.add_to(dt);
      const double by = scale * static_cast<double>(*pass.of(dy));
      dice_kernels::backward<S>(
          sizes, p.get(), target_from(ts.get()), counts_from(ts.get()), groups, by, to_t != nullptr,
          [&](Index b, Index position, const S* gp, const S* gt) {
            const Index at = (b * sizes.positions + position) * channels;
            const S* v = p.get() + at;
            S along = 0;
            for (Index c = 0; c < channels && softmax; ++c) along += gp[c] * v[c];
            for (Index c = 0; c < channels; ++c) {
              if (to_x)
                to_x[at + c] += !logits ? gp[c] : softmax ? v[c] * (gp[c] - along) : gp[c] * v[c] * (S(1) - v[c]);
              if (to_t) to_t[at + c] += gt[c];
            }
          });
    });
  }
  return y;
}

ATTEND_END
