#pragma once
/// What can be known of the weights of a fused attention without making them.
#include "attend/functional/attention_mask.hpp"
#include "attend/kernels/attention_statistics.hpp"

ATTEND_BEGIN

/// true = the key belongs to the set.  (batch|1, keys). Owns its values; copies share them.
class KeySet {
 public:
  KeySet() = default;
  template <class T, std::enable_if_t<TensorTraits<T>::value, int> = 0>
  explicit KeySet(const T& keys) {
    static_assert(std::is_same_v<typename TensorTraits<T>::Scalar, bool> && TensorTraits<T>::rank == 2,
                  "attend: a KeySet is made of a bool tensor (batch|1, keys)");
    set_ = detail::shared_mask<2>(keys, shape_of(keys));
  }
  const detail::SharedMask<2>& get() const { return set_; }

 private:
  detail::SharedMask<2> set_;
};

/// Which statistics of the weights a call returns beside its output; entropy and log-sum-exp it always does.
struct AttentionStatisticsRequest {
  Index top_keys = 1;  ///< how many of the largest weights, with their keys: 1 is the arg-max
  KeySet inside = {};  ///< keys whose weights are summed, an object's positions for instance; none: the sums are 0
};

/// Output and statistics of an attention: of each row of weights w over the keys j, before dropout, (B, H, Lq), or (B, H,
/// Lq, top_keys). `Of` is Variable or Tensor. Only the output carries gradients.
template <template <class, int> class Of, class S, int OutputRank = 4>
struct AttentionWithStatistics {
  template <template <class, int> class Other>
  using of = AttentionWithStatistics<Other, S, OutputRank>;
  Of<S, OutputRank> output;
  Of<S, 3> log_sum_exp;  ///< log sum_j exp(score_j); -infinity where nothing may be attended to
  Of<S, 3> entropy;  ///< -sum_j w_j log w_j, from 0 to log of the number of keys; 0 where nothing may be attended to
  Of<S, 3> mass_inside;   ///< sum of w_j over the keys inside the set
  Of<S, 4> top_weights;   ///< of the largest scores, of equal ones the first key first; 0 if fewer may be attended to
  Of<Index, 4> top_keys;  ///< and their keys j; -1 if fewer may be attended to
  template <class Visit>
  auto members(Visit&& visit) const {
    return visit(output, log_sum_exp, entropy, mass_inside, top_weights, top_keys);
  }
};

namespace detail {

/// Where the statistics of one call go.
template <class S>
class AttentionStatisticsResult {
 public:
  AttentionStatisticsResult(const char* name, const Shape<4>& scores, Index appended,
                            const AttentionStatisticsRequest& request)
      : inside_(request.inside),
        rows_{scores[0], scores[1], scores[2]},
        tops_{scores[0], scores[1], scores[2], checked(name, scores, appended, request)},
        log_sum_exp_(make<S>(rows_)),
        entropy_(make<S>(rows_)),
        mass_(make<S>(rows_)),
        top_weights_(make<S>(tops_)),
        top_keys_(make<Index>(tops_)) {}
  AttentionStatistics<S> kernel() const {
    AttentionStatistics<S> to;
    to.log_sum_exp = log_sum_exp_.buffer().get(), to.entropy = entropy_.buffer().get();
    to.mass = mass_.buffer().get();
    if (const auto& set = inside_.get())
      to.inside = set.values.get(), to.inside_stride = {set.stride(0), set.stride(1)};
    to.top = tops_[3], to.top_weights = top_weights_.buffer().get(), to.top_keys = top_keys_.buffer().get();
    return to;
  }
  template <int R>
  AttentionWithStatistics<Variable, S, R> beside(const Variable<S, R>& output) const {
    return {output, log_sum_exp_, entropy_, mass_, top_weights_, top_keys_};
  }

 private:
  static Index checked(const char* name, const Shape<4>& scores, Index appended,
                       const AttentionStatisticsRequest& request) {
    const Index keys = scores[3], most = std::max<Index>(1, keys);
    require<OptionError>(request.top_keys >= 0 && request.top_keys <= most, name, [&] {
      return message("top_keys is ", request.top_keys, "; it must lie in [0, ", most, "]: there are ", keys, " keys");
    });
    if (const auto& set = request.inside.get())
      require((set.shape[0] == 1 || set.shape[0] == scores[0]) && set.shape[1] == keys - appended, name, [&] {
        return message("inside has shape ", set.shape, "; it must be ", Shape<2>{scores[0], keys - appended}, " or ",
                       Shape<2>{1, keys - appended}, ", one entry per key");
      });
    return request.top_keys;
  }
  template <class T, std::size_t R>
  static Variable<T, static_cast<int>(R)> make(const std::array<Index, R>& shape) {
    return {shape, make_buffer<T>(element_count(shape))};
  }
  KeySet inside_;
  Shape<3> rows_;
  Shape<4> tops_;
  Variable<S, 3> log_sum_exp_, entropy_, mass_;
  Variable<S, 4> top_weights_;
  Variable<Index, 4> top_keys_;
};

}  // namespace detail

ATTEND_END
