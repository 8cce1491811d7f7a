#pragma once
#include "attend/functional/attention.hpp"

ATTEND_BEGIN

/// Which weights a call hands out. Recordings always get those before dropout.
enum class Weights {
  before_dropout,  ///< rows sum to one
  after_dropout    ///< in training, zeros among weights scaled by 1 / (1 - p): PyTorch's nn.MultiheadAttention
};

/// Call options of attention layers: the masks, combined by "and", and which weights to return.
struct AttentionCall {
  Causal causal = Causal::none;
  KeyLengths keys = {};
  AttendMask mask = {};
  PaddingMask padding = {};
  Window window = {};
  Weights weights = Weights::before_dropout;
  AttentionMasks masks() const { return {causal, keys, mask, padding, window}; }
};

namespace detail {
/// Another call of a layer: `attend<averaged>` in place of `forward`, with the same options.
template <class L, bool averaged>
struct CallWithWeights : Layer<CallWithWeights<L, averaged>> {
  using CallOptions = typename L::CallOptions;
  explicit CallWithWeights(const L& the_layer) : layer(the_layer) {}
  template <class... In>
  auto forward(const In&... arguments) const
      -> decltype(std::declval<const L&>().template forward_with_weights<averaged>(arguments...)) {
    return layer.template forward_with_weights<averaged>(arguments...);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("", self.layer);
  }
  const L& layer;
};
template <class L>
struct CallWithStatistics : Layer<CallWithStatistics<L>> {
  using CallOptions = typename L::CallOptions;
  CallWithStatistics(const L& the_layer, const AttentionStatisticsRequest& the_request)
      : layer(the_layer), request(the_request) {}
  template <class... In>
  auto forward(const In&... arguments) const
      -> decltype(std::declval<const L&>().forward_with_statistics(std::declval<const AttentionStatisticsRequest&>(),
                                                                   arguments...)) {
    return layer.forward_with_statistics(request, arguments...);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("", self.layer);
  }
  const L& layer;
  const AttentionStatisticsRequest& request;
};
}  // namespace detail

/// What an attention layer inherits beside Layer: `with_weights(...)`, called like the layer, returns {output,
/// weights}, and `with_statistics(request, ...)` what of the weights is asked for (AttentionWithStatistics).
template <class Self>
class WithWeights {
 public:
  /// {output, weights (batch, heads, queries, keys)}
  template <class A, class L = Self>
  auto with_weights(const A& a, const typename L::CallOptions& options = {}) const {
    return named([&] { return detail::CallWithWeights<L, false>(self())(a, options); });
  }
  template <class A, class B, class L = Self, std::enable_if_t<!std::is_same_v<B, typename L::CallOptions>, int> = 0>
  auto with_weights(const A& a, const B& b, const typename L::CallOptions& options = {}) const {
    return named([&] { return detail::CallWithWeights<L, false>(self())(a, b, options); });
  }
  template <class A, class B, class C, class L = Self,
            std::enable_if_t<!std::is_same_v<C, typename L::CallOptions>, int> = 0>
  auto with_weights(const A& a, const B& b, const C& c, const typename L::CallOptions& options = {}) const {
    return named([&] { return detail::CallWithWeights<L, false>(self())(a, b, c, options); });
  }
  template <class A, class B, class C, class D, class L = Self,
            std::enable_if_t<!std::is_same_v<D, typename L::CallOptions>, int> = 0>
  auto with_weights(const A& a, const B& b, const C& c, const D& d, const typename L::CallOptions& options = {}) const {
    return named([&] { return detail::CallWithWeights<L, false>(self())(a, b, c, d, options); });
  }
  /// {output, weights (batch, queries, keys), the mean over heads}
  template <class A, class L = Self>
  auto with_average_weights(const A& a, const typename L::CallOptions& options = {}) const {
    return named([&] { return detail::CallWithWeights<L, true>(self())(a, options); });
  }
  template <class A, class B, class L = Self, std::enable_if_t<!std::is_same_v<B, typename L::CallOptions>, int> = 0>
  auto with_average_weights(const A& a, const B& b, const typename L::CallOptions& options = {}) const {
    return named([&] { return detail::CallWithWeights<L, true>(self())(a, b, options); });
  }
  template <class A, class B, class C, class L = Self,
            std::enable_if_t<!std::is_same_v<C, typename L::CallOptions>, int> = 0>
  auto with_average_weights(const A& a, const B& b, const C& c, const typename L::CallOptions& options = {}) const {
    return named([&] { return detail::CallWithWeights<L, true>(self())(a, b, c, options); });
  }
  template <class A, class B, class C, class D, class L = Self,
            std::enable_if_t<!std::is_same_v<D, typename L::CallOptions>, int> = 0>
  auto with_average_weights(const A& a, const B& b, const C& c, const D& d,
                            const typename L::CallOptions& options = {}) const {
    return named([&] { return detail::CallWithWeights<L, true>(self())(a, b, c, d, options); });
  }

  /// {output, log_sum_exp, entropy, mass_inside, top_weights, top_keys}, without a matrix of weights
  template <class A, class L = Self>
  auto with_statistics(const AttentionStatisticsRequest& request, const A& a,
                       const typename L::CallOptions& options = {}) const {
    return named([&] { return detail::CallWithStatistics<L>(self(), request)(a, options); });
  }
  template <class A, class B, class L = Self, std::enable_if_t<!std::is_same_v<B, typename L::CallOptions>, int> = 0>
  auto with_statistics(const AttentionStatisticsRequest& request, const A& a, const B& b,
                       const typename L::CallOptions& options = {}) const {
    return named([&] { return detail::CallWithStatistics<L>(self(), request)(a, b, options); });
  }
  template <class A, class B, class C, class L = Self,
            std::enable_if_t<!std::is_same_v<C, typename L::CallOptions>, int> = 0>
  auto with_statistics(const AttentionStatisticsRequest& request, const A& a, const B& b, const C& c,
                       const typename L::CallOptions& options = {}) const {
    return named([&] { return detail::CallWithStatistics<L>(self(), request)(a, b, c, options); });
  }
  template <class A, class B, class C, class D, class L = Self,
            std::enable_if_t<!std::is_same_v<D, typename L::CallOptions>, int> = 0>
  auto with_statistics(const AttentionStatisticsRequest& request, const A& a, const B& b, const C& c, const D& d,
                       const typename L::CallOptions& options = {}) const {
    return named([&] { return detail::CallWithStatistics<L>(self(), request)(a, b, c, d, options); });
  }

 private:
  const Self& self() const { return static_cast<const Self&>(*this); }
  /// An error that leaves comes from this layer, for the layers around it that name their child.
  template <class F>
  auto named(const F& call) const {
    try {
      return call();
    } catch (Error& error) {
      error.passes(key_of(self()), "");
      throw;
    }
  }
};

ATTEND_END
