#pragma once
#include "attend/attention/cached_attention.hpp"

ATTEND_BEGIN

/// Call options of layers with a cache.
struct CachedCall {
  KeyLengths lengths =
      {};  ///< how many of the new positions each sample has, as of prompts of different lengths; empty: all
  Window window = {};  ///< a query sees at most `left` positions before its own
};

namespace detail {
/// Another call of a layer: `forward_with_cache` in place of `forward`.
template <class L, class S>
struct CallWithCache : Layer<CallWithCache<L, S>> {
  struct CallOptions {
    KeyValueCache<S>* cache = nullptr;
    CachedCall call = {};
  };
  explicit CallWithCache(const L& the_layer) : layer(the_layer) {}
  Variable<S, 3> forward(const Variable<S, 3>& x, const CallOptions& options) const {
    return layer.forward_with_cache(x, *options.cache, options.call);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("", self.layer);
  }
  const L& layer;
};

/// How many of the new positions x (batch, positions, channels) each sample has.
template <class S>
std::vector<Index> new_positions(const char* name, const Variable<S, 3>& x, const KeyValueCache<S>& cache,
                                 const KeyLengths& lengths) {
  const Index batch = cache.options().batch;
  require(x.dim(0) == batch, name,
          [&] { return message("x has shape ", x.shape(), "; its batch must be the cache's, ", batch); });
  if (!lengths.get()) return std::vector<Index>(static_cast<std::size_t>(batch), x.dim(1));
  return *lengths.get();
}

/// Appends keys and values to the cache and attends to all it then holds, causally.
template <class S>
Variable<S, 4> append_and_attend(const char* name, const HeadView<S>& q, const HeadView<S>& k, const HeadView<S>& v,
                                 KeyValueCache<S>& cache, const std::vector<Index>& counts, const Window& window,
                                 double scale) {
  const auto& c = cache.options();
  const Shape<4> keys{c.batch, q.shape()[1], c.num_heads, c.head_dim},
      values{c.batch, q.shape()[1], c.num_heads, c.value_dim};
  require(k.shape() == keys && v.shape() == values, name, [&] {
    return message("the layer makes keys ", k.shape(), " and values ", v.shape(), "; the cache takes ", keys, " and ",
                   values);
  });
  CachedAttentionOptions options;
  options.window = window;
  options.first = cache.lengths();
  check_cached_call<S>(name, q, nullptr, options, scale);  // before the cache changes
  cache.append(k.layout().rows(k.source.data()), v.layout().rows(v.source.data()), q.shape()[1], counts);
  return cached_attention<S>(name, q, cache, nullptr, options, scale);
}
}  // namespace detail

/// What a causal layer inherits beside Layer: `with_cache(x, cache)`, its result for the positions of x that follow those
/// in the cache, which takes their keys and values.
///
///     KeyValueCache<float> cache({.batch = 1, .max_length = 1024, .num_heads = 8, .head_dim = 32});
///     auto y = attention.with_cache(prompt, cache);                // (batch, length, channels) -> the same
///     auto z = attention.with_cache(next, cache);                  // (batch, 1, channels): one step
///
/// The same as the layer called causally with all positions at once, to within rounding. Without gradients and
/// recordings: OptionError for a Variable on a tape.
template <class Self>
class WithCache {
 public:
  template <class X, class S>
  auto with_cache(const X& x, KeyValueCache<S>& cache, const CachedCall& call = {}) const {
    const Self& self = static_cast<const Self&>(*this);
    try {
      return detail::CallWithCache<Self, S>(self)(x, {&cache, call});
    } catch (Error& error) {  // it comes from this layer, for the layers around it that name their child
      error.passes(key_of(self), "");
      throw;
    }
  }
};

ATTEND_END
