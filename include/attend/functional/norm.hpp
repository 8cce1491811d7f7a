#pragma once
/// Normalisations as functions. weight and bias are values, or `absent<S, R>()` for none. Means and variances are
/// computed from two passes, in double where sums are long. Saved for backward: x, the mean and 1 / deviation of each normalised set, the
/// weight.
#include "attend/functional/absent.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/kernels/channel_norm.hpp"
#include "attend/kernels/row_norm.hpp"

ATTEND_BEGIN

/// What one batch norm found in its batch: mean and biased variance per channel, over `count` values each.
template <class S>
struct BatchStatistics {
  Index count = 0;
  std::vector<S> mean, variance;
};

namespace detail {
template <class S, int R, int Q>
void check_affine(const Operation<S>& op, const Variable<S, R>& x, const Variable<S, Q>& weight,
                  const Variable<S, Q>& bias) {
  Shape<Q> last{};
  std::copy(x.shape().end() - Q, x.shape().end(), last.begin());
  const auto check = [&](const char* name, const Variable<S, Q>& v) {
    op.require(!present(v) || v.shape() == last, [&] {
      return message(name, " has shape ", v.shape(), "; for x of shape ", x.shape(), " it must be ", last);
    });
  };
  check("weight", weight);
  check("bias", bias);
}

/// The common frame of batch, group and instance norm: x is (segments, rows, channels).
template <class S, int R>
Variable<S, R> normalize_channels(const Operation<S>& op, const channel_norm::Sizes& sizes, bool shared, bool fixed,
                                  const Variable<S, R>& x, const Shared<double>& statistics,
                                  const Variable<S, 1>& weight, const Variable<S, 1>& bias) {
  const double* mean = statistics.get();
  const double* rstd = mean + (shared ? 1 : sizes.segments) * sizes.groups;
  const auto y = op.result(x.shape());
  channel_norm::forward(sizes, shared, x.data(), mean, rstd, present(weight) ? weight.data() : nullptr,
                        present(bias) ? bias.data() : nullptr, op.data(y));
  if (op.records()) {
    const Slot dx = op.slot(x), dw = op.slot(weight), db = op.slot(bias);
    const bool has_weight = present(weight);
    op.record(y, [=, dy = op.slot(y), kept = op.keep(x, dw.differentiable || (dx.differentiable && !fixed)),
                  w = op.keep(weight, has_weight && dx.differentiable)](Pass<S>& pass) {
      S *to_weight = has_weight ? pass.add_to(dw) : nullptr, *to_bias = pass.add_to(db);
      channel_norm::backward(sizes, shared, fixed, kept.get(), statistics.get(), statistics.get() + (rstd - mean),
                             w.get(), pass.of(dy), pass.accumulate(dx), to_weight, to_bias);
    });
  }
  return y;
}
}  // namespace detail

/// y = (x - mean) / sqrt(variance + eps) weight + bias, mean and biased variance of each channel over all other axes of
/// the batch.  x: (..., channels)  weight, bias: (channels)  ->  (..., channels).  `found`, if given, receives the
/// statistics. Throws ShapeError for one value per channel, whose variance means nothing.  Ioffe and Szegedy 2015;
/// torch.nn.functional.batch_norm(training=True)
template <class S, int R>
Variable<S, R> batch_norm(const Variable<S, R>& x, const Variable<S, 1>& weight, const Variable<S, 1>& bias,
                          double eps = 1e-5, BatchStatistics<S>* found = nullptr) {
  static_assert(R >= 2, "attend: batch_norm needs a batch axis and, last, a channel axis");
  Operation<S> op("batch_norm", x, weight, bias);
  detail::check_affine(op, x, weight, bias);
  const Index channels = x.dim(-1), rows = channels == 0 ? 0 : x.size() / channels;
  op.require(rows != 1, [&] {
    return message("x has shape ", x.shape(),
                   "; statistics of a batch need more than 1 value per channel (evaluation uses the running ones)");
  });
  const channel_norm::Sizes sizes{1, rows, channels, channels};
  const auto statistics = make_buffer<double>(2 * channels);
  double *mean = statistics.get(), *variance = mean + channels;
  channel_norm::statistics(sizes, x.data(), mean, variance);
  if (found) {
    found->count = rows;
    found->mean.assign(mean, mean + channels);
    found->variance.assign(variance, variance + channels);
  }
  channel_norm::reciprocal_deviation(channels, eps, variance, variance);
  return detail::normalize_channels(op, sizes, true, false, x, statistics, weight, bias);
}

/// The same with given statistics, which get no gradient: mean, variance: (channels).
/// torch.nn.functional.batch_norm(training=False)
template <class S, int R>
Variable<S, R> batch_norm_with(const Variable<S, R>& x, const Variable<S, 1>& mean, const Variable<S, 1>& variance,
                               const Variable<S, 1>& weight, const Variable<S, 1>& bias, double eps = 1e-5) {
  static_assert(R >= 2, "attend: batch_norm needs a batch axis and, last, a channel axis");
  Operation<S> op("batch_norm", x, weight, bias);
  detail::check_affine(op, x, weight, bias);
  const Index channels = x.dim(-1);
  for (const auto* v : {&mean, &variance})
    op.require(v->dim(0) == channels, [&] {
      return message("x has shape ", x.shape(), "; its last axis must be channels = ", v->dim(0),
                     ", as the statistics have");
    });
  const auto statistics = make_buffer<double>(2 * channels);
  std::copy_n(mean.data(), channels, statistics.get());
  std::copy_n(variance.data(), channels, statistics.get() + channels);
  channel_norm::reciprocal_deviation(channels, eps, statistics.get() + channels, statistics.get() + channels);
  const channel_norm::Sizes sizes{1, channels == 0 ? 0 : x.size() / channels, channels, channels};
  return detail::normalize_channels(op, sizes, true, true, x, statistics, weight, bias);
}

/// As batch_norm, with mean and variance of each sample, over its middle axes and the channels of one group.
/// x: (batch, ..., channels)  weight, bias: (channels).  Throws ShapeError unless groups divides channels. One value
/// per group gives the bias.  Wu and He 2018; torch.nn.functional.group_norm
template <class S, int R>
Variable<S, R> group_norm(const Variable<S, R>& x, Index groups, const Variable<S, 1>& weight,
                          const Variable<S, 1>& bias, double eps = 1e-5) {
  static_assert(R >= 2, "attend: group_norm needs a batch axis and, last, a channel axis");
  Operation<S> op("group_norm", x, weight, bias);
  detail::check_affine(op, x, weight, bias);
  const Index batch = x.dim(0), channels = x.dim(-1);
  op.require(groups > 0 && channels % groups == 0, [&] {
    return message("x has shape ", x.shape(), "; its last axis must be divisible by num_groups = ", groups);
  });
  const channel_norm::Sizes sizes{batch, x.size() == 0 ? 0 : x.size() / (batch * channels), channels, groups};
  const auto statistics = make_buffer<double>(2 * batch * groups);
  double *mean = statistics.get(), *variance = mean + batch * groups;
  channel_norm::statistics(sizes, x.data(), mean, variance);
  channel_norm::reciprocal_deviation(batch * groups, eps, variance, variance);
  return detail::normalize_channels(op, sizes, false, false, x, statistics, weight, bias);
}

/// As batch_norm, with mean and variance of each sample and channel over the middle axes.  x: (batch, ..., channels).
/// `found`, if given, receives the statistics averaged over the samples. Throws ShapeError for one value per sample and
/// channel.  Ulyanov et al. 2016; torch.nn.functional.instance_norm
template <class S, int R>
Variable<S, R> instance_norm(const Variable<S, R>& x, const Variable<S, 1>& weight, const Variable<S, 1>& bias,
                             double eps = 1e-5, BatchStatistics<S>* found = nullptr) {
  static_assert(R >= 3, "attend: instance_norm needs a batch axis, axes to normalise over and, last, a channel axis");
  Operation<S> op("instance_norm", x, weight, bias);
  detail::check_affine(op, x, weight, bias);
  const Index batch = x.dim(0), channels = x.dim(-1), rows = x.size() == 0 ? 0 : x.size() / (batch * channels);
  op.require(rows != 1, [&] {
    return message("x has shape ", x.shape(), "; statistics of a sample need more than 1 value per channel");
  });
  const channel_norm::Sizes sizes{batch, rows, channels, channels};
  const auto statistics = make_buffer<double>(2 * batch * channels);
  double *mean = statistics.get(), *variance = mean + batch * channels;
  channel_norm::statistics(sizes, x.data(), mean, variance);
  if (found && batch > 0) {
    found->count = rows;
    for (auto [sum, to] : {std::pair{mean, &found->mean}, std::pair{variance, &found->variance}}) {
      to->resize(static_cast<std::size_t>(channels));
      for (Index c = 0; c < channels; ++c) {
        double all = 0;
        for (Index b = 0; b < batch; ++b) all += sum[b * channels + c];
        (*to)[static_cast<std::size_t>(c)] = S(all / static_cast<double>(batch));
      }
    }
  }
  channel_norm::reciprocal_deviation(batch * channels, eps, variance, variance);
  return detail::normalize_channels(op, sizes, false, false, x, statistics, weight, bias);
}

/// A sum and its norm: what the next branch of a residual network starts from.
template <class S, int R>
struct NormalizedSum {
  Variable<S, R> sum, normalized;
};

namespace detail {
template <class S, int R, int Q>
Index row_length(const Variable<S, R>& x) {
  Index n = 1;
  for (int axis = R - Q; axis < R; ++axis) n *= x.dim(axis);
  return n;
}
template <int Q, class S, int R>
Variable<S, R> normalize_rows(const Operation<S>& op, row_norm::Centre centre, const Variable<S, R>& x,
                              const Variable<S, Q>& weight, const Variable<S, Q>& bias, double eps) {
  check_affine(op, x, weight, bias);
  const Index n = row_length<S, R, Q>(x), rows = n == 0 ? 0 : x.size() / n;
  const auto statistics = make_buffer<double>(2 * rows);
  const auto y = op.result(x.shape());
  row_norm::forward(centre, rows, n, eps, x.data(), static_cast<const S*>(nullptr), static_cast<S*>(nullptr),
                    present(weight) ? weight.data() : nullptr, present(bias) ? bias.data() : nullptr, op.data(y),
                    statistics.get(), statistics.get() + rows);
  if (op.records()) {
    const Slot dx = op.slot(x), dw = op.slot(weight), db = op.slot(bias);
    const bool has_weight = present(weight);
    op.record(y, [=, dy = op.slot(y), kept = op.keep(x, dw.differentiable || db.differentiable || dx.differentiable),
                  w = op.keep(weight, has_weight && dx.differentiable)](Pass<S>& pass) {
      S *to_weight = pass.add_to(dw), *to_bias = pass.add_to(db);
      row_norm::backward(centre, rows, n, kept.get(), statistics.get(), statistics.get() + rows, w.get(), pass.of(dy),
                         pass.accumulate(dx), to_weight, to_bias);
    });
  }
  return y;
}
/// x + residual and its norm, in one pass; not recorded.
template <int Q, class S, int R>
NormalizedSum<S, R> normalize_sum(const Operation<S>& op, row_norm::Centre centre, const Variable<S, R>& x,
                                  const Variable<S, R>& residual, const Variable<S, Q>& weight,
                                  const Variable<S, Q>& bias, double eps) {
  op.require(residual.shape() == x.shape(), [&] {
    return message("x has shape ", x.shape(), "; the residual must have it too, not ", residual.shape());
  });
  check_affine(op, x, weight, bias);
  const Index n = row_length<S, R, Q>(x), rows = n == 0 ? 0 : x.size() / n;
  const auto statistics = make_buffer<double>(2 * rows);
  const auto sum = op.result(x.shape()), y = op.result(x.shape());
  row_norm::forward(centre, rows, n, eps, x.data(), residual.data(), op.data(sum),
                    present(weight) ? weight.data() : nullptr, present(bias) ? bias.data() : nullptr, op.data(y),
                    statistics.get(), statistics.get() + rows);
  return {sum, y};
}
}  // namespace detail

/// y = (x - mean) / sqrt(variance + eps) weight + bias, mean and biased variance over the last Q axes.
/// x: (..., normalized axes)  weight, bias: (normalized axes)  ->  as x.  Ba et al. 2016;
/// torch.nn.functional.layer_norm
template <class S, int R, int Q>
Variable<S, R> layer_norm(const Variable<S, R>& x, const Variable<S, Q>& weight, const Variable<S, Q>& bias,
                          double eps = 1e-5) {
  static_assert(Q >= 1 && Q <= R, "attend: layer_norm normalises over the last axes of x, as many as the weight has");
  return detail::normalize_rows<Q>(Operation<S>("layer_norm", x, weight, bias), row_norm::Centre::mean, x, weight, bias,
                                   eps);
}

/// y = x / sqrt(mean(x^2) + eps) weight, over the last Q axes.  Zhang and Sennrich 2019; torch.nn.functional.rms_norm,
/// whose eps is by default the scalar type's epsilon
template <class S, int R, int Q>
Variable<S, R> rms_norm(const Variable<S, R>& x, const Variable<S, Q>& weight,
                        double eps = static_cast<double>(std::numeric_limits<S>::epsilon())) {
  static_assert(Q >= 1 && Q <= R, "attend: rms_norm normalises over the last axes of x, as many as the weight has");
  return detail::normalize_rows<Q>(Operation<S>("rms_norm", x, weight), row_norm::Centre::none, x, weight,
                                   absent<S, Q>(), eps);
}

/// h = x + residual and layer_norm(h), in one pass where nothing is recorded.  x, residual: (..., normalized axes)  weight,
/// bias: (normalized axes)  ->  both as x.  Throws ShapeError also for a residual of another shape than x.
template <class S, int R, int Q>
NormalizedSum<S, R> add_layer_norm(const Variable<S, R>& x, const Variable<S, R>& residual,
                                   const Variable<S, Q>& weight, const Variable<S, Q>& bias, double eps = 1e-5) {
  static_assert(Q >= 1 && Q <= R, "attend: layer_norm normalises over the last axes of x, as many as the weight has");
  const Operation<S> op("add_layer_norm", x, residual, weight, bias);
  if (op.tape()) {
    const auto sum = x + residual;
    return {sum, layer_norm(sum, weight, bias, eps)};
  }
  return detail::normalize_sum<Q>(op, row_norm::Centre::mean, x, residual, weight, bias, eps);
}

/// h = x + residual and rms_norm(h): as add_layer_norm.
template <class S, int R, int Q>
NormalizedSum<S, R> add_rms_norm(const Variable<S, R>& x, const Variable<S, R>& residual, const Variable<S, Q>& weight,
                                 double eps = static_cast<double>(std::numeric_limits<S>::epsilon())) {
  static_assert(Q >= 1 && Q <= R, "attend: rms_norm normalises over the last axes of x, as many as the weight has");
  const Operation<S> op("add_rms_norm", x, residual, weight);
  if (op.tape()) {
    const auto sum = x + residual;
    return {sum, rms_norm(sum, weight, eps)};
  }
  return detail::normalize_sum<Q>(op, row_norm::Centre::none, x, residual, weight, absent<S, Q>(), eps);
}

ATTEND_END
