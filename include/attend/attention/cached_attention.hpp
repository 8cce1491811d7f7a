#pragma once
#include <cmath>

#include "attend/attention/key_value_cache.hpp"
#include "attend/autograd/multiply_adds.hpp"
#include "attend/functional/attention.hpp"
#include "attend/kernels/attention_decode.hpp"

ATTEND_BEGIN

/// What attention to a cache can be told.
struct CachedAttentionOptions {
  bool causal = true;  ///< each query sees its own position and those before it; false: all that the cache holds
  Window window = {};  ///< and of these at most `left` before and `right` after its own position
  double scale = 0;    ///< factor of q k^T; 0: 1 / sqrt(D)
  /// Position of each sample's first query; empty: the queries are the last positions of every sample.
  std::vector<Index> first = {};
};

namespace detail {

template <class S>
void check_cached_call(const char* name, const HeadView<S>& q, const Variable<S, 4>* bias,
                       const CachedAttentionOptions& o, double scale) {
  require<OptionError>(!q.source.link() && (!bias || !bias->link()), name, [] {
    return std::string("an argument is on a tape; a cache holds values without gradients: pass tensors, or detach()");
  });
  require<OptionError>(std::isfinite(scale), name, [&] { return message("scale is ", scale, "; it must be finite"); });
  require<OptionError>(o.window.left >= 0 && o.window.right >= 0, name, [&] {
    return message("window is {", o.window.left, ", ", o.window.right, "}; both sides must be 0 or more");
  });
}

template <class S>
Variable<S, 4> cached_attention(const char* name, const HeadView<S>& q, const KeyValueCache<S>& cache,
                                const Variable<S, 4>* bias, const CachedAttentionOptions& o, double scale) {
  check_cached_call(name, q, bias, o, scale);
  const auto& c = cache.options();
  const Index longest = cache.length();
  const Shape<4> keys{c.batch, longest, c.num_heads, c.head_dim}, values{c.batch, longest, c.num_heads, c.value_dim};
  const Shape<4> scores = check_attention(name, q.shape(), keys, values, bias);
  require<OptionError>(o.first.empty() || static_cast<Index>(o.first.size()) == c.batch, name, [&] {
    return message("first holds ", o.first.size(), " positions; it must hold one per sample: ", c.batch);
  });
  std::vector<Index> first = o.first;
  for (const Index length : cache.lengths())
    if (o.first.empty()) first.push_back(length - scores[2]);

  AttentionProblem<S> p;
  p.batch = scores[0], p.heads = scores[1], p.queries = scores[2], p.keys = longest;
  p.key_heads = c.num_heads, p.dim = c.head_dim, p.value_dim = c.value_dim;
  p.query = q.layout().rows(q.source.data());
  p.key = cache.keys(), p.value = cache.values();
  p.scale = static_cast<S>(scale);
  p.mask.keys = longest, p.mask.lengths = cache.lengths().data();
  p.mask.lowest = -std::min(o.window.left, Window::unlimited / 2);
  p.mask.highest = o.causal ? 0 : std::min(o.window.right, Window::unlimited / 2);
  if (bias) {
    p.bias = bias->data();
    p.bias_stride = broadcast_strides(bias->shape());
  }
  const Operation<S> op(name, q.source);
  const auto y = op.result(Shape<4>{p.batch, p.queries, p.heads, p.value_dim});
  MultiplyAdds::add(p.batch, p.heads, p.queries, p.keys, p.dim + p.value_dim);
  const auto output = head_rows(op.data(y), p.queries, p.heads, p.value_dim);
  if (p.few_queries()) {
    attention_decode(p, output, first.data());
    return y;
  }
  // A prompt: the kernel of many queries knows one diagonal, so that of each sample is a call of its own.
  const Index rows = p.heads * p.queries;
  const auto maximum = make_buffer<S>(rows), inverse_sum = make_buffer<S>(rows);
  for (Index b = 0; b < p.batch; ++b) {
    AttentionProblem<S> one = p;
    const Index at = first[static_cast<std::size_t>(b)];
    one.batch = 1;
    one.query.data = p.query.at(b, 0, 0), one.key.data = p.key.at(b, 0, 0), one.value.data = p.value.at(b, 0, 0);
    one.mask.lengths += b, one.mask.lowest += at, one.mask.highest += at;
    if (bias) one.bias += b * p.bias_stride[0];
    attention_forward(one, HeadRows<S>{output.at(b, 0, 0), output.batch, output.position, output.head}, maximum.get(),
                      inverse_sum.get());
  }
  return y;
}

/// A tensor seen as a Variable during a call, or the Variable itself.
template <class S, class T>
Variable<S, 4> rank_four(const T& x) {
  if constexpr (TensorTraits<T>::value) {
    static_assert(std::is_same_v<typename TensorTraits<T>::Scalar, S> && TensorTraits<T>::rank == 4,
                  "attend: attention to a cache takes tensors of rank 4 and of the cache's scalar");
    return Variable<S, 4>::borrow(x.data(), shape_of(x));
  } else {
    static_assert(std::is_same_v<T, Variable<S, 4>>,
                  "attend: attention to a cache takes tensors or Variables of rank 4 and of the cache's scalar");
    return x;
  }
}
template <class S, class Q>
auto cached_attention(const Q& query, const KeyValueCache<S>& cache, const Variable<S, 4>* bias,
                      const CachedAttentionOptions& options) {
  const auto q = rank_four<S>(query);
  const double scale = options.scale == 0 ? 1 / std::sqrt(static_cast<double>(q.dim(3))) : options.scale;
  const auto y = cached_attention<S>("scaled_dot_product_attention", HeadView<S>(q), cache, bias, options, scale);
  if constexpr (TensorTraits<Q>::value)
    return y.tensor();
  else
    return y;
}

}  // namespace detail

/// output_i = sum_j softmax_j(scale q_i k_j + bias_ij) v_j over the positions j of the cache that query i may see.
///
/// query (B, Lq, H, D), of B the cache's batch and D its head_dim  ->  (B, Lq, H, value_dim), of a Tensor a Tensor, of a
/// Variable a Variable. The cache's heads divide H. The queries are the last positions of each sample, unless `first` says
/// where they stand: append before asking. bias (B|1, H|1, Lq|1, cache.length()|1), optional, is added to the scores.
///
///     cache.append(key, value);
///     auto y = scaled_dot_product_attention(query, cache);
///     auto z = scaled_dot_product_attention(query, memory, {.causal = false});      // all of another sequence
///
/// A position beyond a sample's length or a query's window is never read; a query that sees none gives zeros. Results have
/// the same bits for any number of threads, and alone as in a batch. Without gradients: OptionError for a Variable on a
/// tape. Throws ShapeError and OptionError.
template <class Q, class S>
auto scaled_dot_product_attention(const Q& query, const KeyValueCache<S>& cache,
                                  const CachedAttentionOptions& options = {}) {
  return detail::cached_attention<S>(query, cache, nullptr, options);
}
template <class Q, class S, class B, std::enable_if_t<!std::is_same_v<B, CachedAttentionOptions>, int> = 0>
auto scaled_dot_product_attention(const Q& query, const KeyValueCache<S>& cache, const B& bias,
                                  const CachedAttentionOptions& options = {}) {
  const auto added = detail::rank_four<S>(bias);
  return detail::cached_attention<S>(query, cache, &added, options);
}

ATTEND_END
