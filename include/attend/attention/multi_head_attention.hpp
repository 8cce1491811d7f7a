#pragma once
#include "attend/attention/attention.hpp"
#include "attend/attention/with_cache.hpp"
#include "attend/functional/dense.hpp"
#include "attend/functional/dense_rows.hpp"
#include "attend/functional/rotary.hpp"

ATTEND_BEGIN

struct MultiHeadAttentionOptions {
  Index embed_dim = 0;         ///< channels of query and output
  Index num_heads = 1;         ///< must divide embed_dim
  double dropout = 0;          ///< probability of zeroing a weight, in training
  bool bias = true;            ///< of the projections in and out
  bool add_bias_kv = false;    ///< a learned key and value, the same for all samples, after the others
  bool add_zero_attn = false;  ///< a zero key and value, last
  Index kdim = 0;              ///< channels of the key argument; 0: embed_dim
  Index vdim = 0;              ///< channels of the value argument; 0: embed_dim
  Index num_kv_heads = 0;      ///< grouped-query attention: heads of key and value, must divide num_heads; 0: num_heads
  double rotary_base = 0;      ///< rotary positions on query and key heads (usually 10000); 0: none
  RotaryLayout rotary_layout = RotaryLayout::half_split;
  Index rotary_dim = 0;  ///< numbers of each head that turn; 0: all
};

/// Project, attend, project: concat_h(softmax(q_h k_h^T / sqrt(D)) v_h) W_o + b_o (Vaswani et al. 2017, section 3.2.2;
/// torch.nn.MultiheadAttention with batch_first).
///
///     x (B, L, embed_dim)
///     x (B, L, embed_dim)       memory (B, Lk, kdim = vdim)
///     query (B, Lq, embed_dim)  key (B, Lk, kdim)  value (B, Lk, vdim)
///
/// each perhaps with a bias of the scores (B|1, num_heads|1, Lq|1, Lk|1) after it  ->  (B, Lq, embed_dim).
///
///     MultiHeadAttention<float> attention({.embed_dim = 256, .num_heads = 8}, rng);
///     auto y = attention(x);                                              // self-attention: one projection
///     auto z = attention(x, memory, {.keys = lengths});                   // cross-attention
///     auto w = attention(q, k, v, bias, {.causal = true});
///     auto [output, weights] = attention.with_weights(x);                 // weights (B, num_heads, L, L)
///     auto [same, mean] = attention.with_average_weights(x, memory);      // mean (B, L, Lk)
///     auto r = attention.with_statistics({.top_keys = 3}, x);             // entropy, top keys, ... of the weights
///     auto next = attention.with_cache(x, cache);                         // causal, step by step (WithCache)
///
/// Parameters, with PyTorch's names, shapes and initial distributions (E = embed_dim):
///
///     in_proj_weight (3 E, E)  in_proj_bias (3 E)  out_proj.weight (E, E)  out_proj.bias (E)  bias_k, bias_v (1, 1, E)
///
/// Where kdim or vdim differ from E, q_proj_weight (E, E), k_proj_weight (E, kdim) and v_proj_weight (E, vdim) replace
/// in_proj_weight, and in_proj_bias stays packed. With num_kv_heads the same three, with F = num_kv_heads E / num_heads
/// rows for key and value, in_proj_bias (E + 2 F), bias_k and bias_v (1, 1, F).
///
/// Appended keys (bias_k, then zeros) are beyond masks, bias and rotary turning, and count among the weights' keys.
/// Rotary positions of the keys start at 0, and so do those of the queries, unless `causal` is Causal::bottom_right:
/// then the last query and the last key share theirs. Unlike PyTorch, a query that may attend to nothing gives
/// out_proj.bias, not NaN, and weights are before dropout unless the call says {.weights = Weights::after_dropout}.
/// Offers "weights" to recordings. Throws ShapeError and OptionError.
template <class S, template <class> class Score = score::ScaledDot, class Alignment = alignment::Softmax>
class MultiHeadAttention : public Layer<MultiHeadAttention<S, Score, Alignment>>,
                           public WithWeights<MultiHeadAttention<S, Score, Alignment>>,
                           public WithCache<MultiHeadAttention<S, Score, Alignment>> {
 public:
  using CallOptions = AttentionCall;

  MultiHeadAttention(const MultiHeadAttentionOptions& options, Rng& rng)
      : options_(checked(options)),
        attention_({head_dim(), options_.dropout}, rng),
        out_weight_({embed(), embed()}, rng, 1 / std::sqrt(static_cast<double>(embed()))) {
    if (packed()) {
      in_weight_ = xavier({3 * embed(), embed()}, rng);
    } else {
      q_weight_ = xavier({embed(), embed()}, rng);
      k_weight_ = xavier({kv_width(), options_.kdim}, rng);
      v_weight_ = xavier({kv_width(), options_.vdim}, rng);
    }
    if (options_.bias) {
      in_bias_ = Parameter<S, 1>({embed() + 2 * kv_width()});
      out_bias_ = Parameter<S, 1>({embed()});
    }
    if (options_.add_bias_kv) {
      bias_k_ = xavier_normal(rng);
      bias_v_ = xavier_normal(rng);
    }
  }

  Variable<S, 3> forward(const Variable<S, 3>& x, const AttentionCall& o) const {
    return output(attend(x, x, x, nullptr, o, false));
  }
  Variable<S, 3> forward(const Variable<S, 3>& x, const Variable<S, 3>& memory, const AttentionCall& o) const {
    return output(attend(x, memory, memory, nullptr, o, false));
  }
  Variable<S, 3> forward(const Variable<S, 3>& q, const Variable<S, 3>& k, const Variable<S, 3>& v,
                         const AttentionCall& o) const {
    return output(attend(q, k, v, nullptr, o, false));
  }
  Variable<S, 3> forward(const Variable<S, 3>& x, const Variable<S, 4>& bias, const AttentionCall& o) const {
    return output(attend(x, x, x, &bias, o, false));
  }
  Variable<S, 3> forward(const Variable<S, 3>& x, const Variable<S, 3>& memory, const Variable<S, 4>& bias,
                         const AttentionCall& o) const {
    return output(attend(x, memory, memory, &bias, o, false));
  }
  Variable<S, 3> forward(const Variable<S, 3>& q, const Variable<S, 3>& k, const Variable<S, 3>& v,
                         const Variable<S, 4>& bias, const AttentionCall& o) const {
    return output(attend(q, k, v, &bias, o, false));
  }
  /// The calls of with_weights and with_average_weights.
  template <bool averaged>
  auto forward_with_weights(const Variable<S, 3>& x, const AttentionCall& o) const {
    return returned<averaged>(attend(x, x, x, nullptr, o, true), o);
  }
  template <bool averaged>
  auto forward_with_weights(const Variable<S, 3>& x, const Variable<S, 3>& memory, const AttentionCall& o) const {
    return returned<averaged>(attend(x, memory, memory, nullptr, o, true), o);
  }
  template <bool averaged>
  auto forward_with_weights(const Variable<S, 3>& q, const Variable<S, 3>& k, const Variable<S, 3>& v,
                            const AttentionCall& o) const {
    return returned<averaged>(attend(q, k, v, nullptr, o, true), o);
  }
  template <bool averaged>
  auto forward_with_weights(const Variable<S, 3>& x, const Variable<S, 4>& bias, const AttentionCall& o) const {
    return returned<averaged>(attend(x, x, x, &bias, o, true), o);
  }
  template <bool averaged>
  auto forward_with_weights(const Variable<S, 3>& x, const Variable<S, 3>& memory, const Variable<S, 4>& bias,
                            const AttentionCall& o) const {
    return returned<averaged>(attend(x, memory, memory, &bias, o, true), o);
  }
  template <bool averaged>
  auto forward_with_weights(const Variable<S, 3>& q, const Variable<S, 3>& k, const Variable<S, 3>& v,
                            const Variable<S, 4>& bias, const AttentionCall& o) const {
    return returned<averaged>(attend(q, k, v, &bias, o, true), o);
  }

  /// The calls of with_statistics.
  using WithStatistics = AttentionWithStatistics<Variable, S, 3>;
  using Request = AttentionStatisticsRequest;
  WithStatistics forward_with_statistics(const Request& r, const Variable<S, 3>& x, const AttentionCall& o) const {
    return statistics(r, x, x, x, nullptr, o);
  }
  WithStatistics forward_with_statistics(const Request& r, const Variable<S, 3>& x, const Variable<S, 3>& memory,
                                         const AttentionCall& o) const {
    return statistics(r, x, memory, memory, nullptr, o);
  }
  WithStatistics forward_with_statistics(const Request& r, const Variable<S, 3>& q, const Variable<S, 3>& k,
                                         const Variable<S, 3>& v, const AttentionCall& o) const {
    return statistics(r, q, k, v, nullptr, o);
  }
  WithStatistics forward_with_statistics(const Request& r, const Variable<S, 3>& x, const Variable<S, 4>& bias,
                                         const AttentionCall& o) const {
    return statistics(r, x, x, x, &bias, o);
  }
  WithStatistics forward_with_statistics(const Request& r, const Variable<S, 3>& x, const Variable<S, 3>& memory,
                                         const Variable<S, 4>& bias, const AttentionCall& o) const {
    return statistics(r, x, memory, memory, &bias, o);
  }
  WithStatistics forward_with_statistics(const Request& r, const Variable<S, 3>& q, const Variable<S, 3>& k,
                                         const Variable<S, 3>& v, const Variable<S, 4>& bias,
                                         const AttentionCall& o) const {
    return statistics(r, q, k, v, &bias, o);
  }

  /// The call of with_cache. Rotary positions go on from those in the cache.
  Variable<S, 3> forward_with_cache(const Variable<S, 3>& x, KeyValueCache<S>& cache, const CachedCall& call) const {
    constexpr const char* name = "multi_head_attention";
    check(x, x, x);
    require<OptionError>(!options_.add_bias_kv && !options_.add_zero_attn, name, [] {
      return std::string("add_bias_kv and add_zero_attn append a key after the last; with a cache there is no last");
    });
    const auto counts = detail::new_positions(name, x, cache, call.lengths);
    Projected p = project(x, x, x);
    if (options_.rotary_base > 0) {
      p.query = turned(take_heads(p.query), cache.lengths());
      p.key = turned(take_heads(p.key), cache.lengths());
    }
    const double scale = attention_.scale(head_dim());
    const auto context = detail::append_and_attend<S>(name, p.query, p.key, p.value, cache, counts, call.window, scale);
    return output(context);
  }

  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    const auto visit_if = [&](const char* name, auto& parameter) {
      if (parameter) visit(name, *parameter);
    };
    visit_if("in_proj_weight", self.in_weight_);
    visit_if("q_proj_weight", self.q_weight_);
    visit_if("k_proj_weight", self.k_weight_);
    visit_if("v_proj_weight", self.v_weight_);
    visit_if("in_proj_bias", self.in_bias_);
    visit_if("bias_k", self.bias_k_);
    visit_if("bias_v", self.bias_v_);
    visit("out_proj.weight", self.out_weight_);
    visit_if("out_proj.bias", self.out_bias_);
    visit("", self.attention_);  // what it offers bears this layer's name
  }
  const MultiHeadAttentionOptions& options() const { return options_; }

 private:
  static MultiHeadAttentionOptions checked(MultiHeadAttentionOptions o) {
    const auto check = [](bool ok, const auto& text) { require<OptionError>(ok, "MultiHeadAttention", text); };
    const auto number = [](const char* name, Index value) { return message(name, " = ", value); };
    check(o.embed_dim > 0, [&] { return message(number("embed_dim", o.embed_dim), "; it must be at least 1"); });
    check(o.num_heads > 0 && o.embed_dim % o.num_heads == 0,
          [&] { return message(number("num_heads", o.num_heads), " must divide ", number("embed_dim", o.embed_dim)); });
    if (o.num_kv_heads == 0) o.num_kv_heads = o.num_heads;
    check(o.num_kv_heads > 0 && o.num_heads % o.num_kv_heads == 0, [&] {
      return message(number("num_kv_heads", o.num_kv_heads), " must divide ", number("num_heads", o.num_heads));
    });
    check(o.kdim >= 0 && o.vdim >= 0, [&] {
      return message(number("kdim", o.kdim), " and ", number("vdim", o.vdim),
                     " must not be negative; 0 stands for embed_dim");
    });
    if (o.kdim == 0) o.kdim = o.embed_dim;
    if (o.vdim == 0) o.vdim = o.embed_dim;
    check(o.dropout >= 0 && o.dropout <= 1,
          [&] { return message("dropout is ", o.dropout, "; it must lie in [0, 1]"); });
    check(o.rotary_base >= 0 && std::isfinite(o.rotary_base),
          [&] { return message("rotary_base is ", o.rotary_base, "; it must be positive, or 0 for none"); });
    const Index head = o.embed_dim / o.num_heads;
    check(o.rotary_base == 0 ||
              (o.rotary_dim >= 0 && o.rotary_dim <= head && (o.rotary_dim ? o.rotary_dim : head) % 2 == 0),
          [&] {
            return message(number("rotary_dim", o.rotary_dim), " with a head_dim of ", head,
                           "; the numbers that turn must be even and at most head_dim");
          });
    return o;
  }
  Index embed() const { return options_.embed_dim; }
  Index head_dim() const { return options_.embed_dim / options_.num_heads; }
  Index kv_width() const { return head_dim() * options_.num_kv_heads; }
  bool packed() const {
    return options_.kdim == embed() && options_.vdim == embed() && options_.num_kv_heads == options_.num_heads;
  }
  static Parameter<S, 2> xavier(const Shape<2>& shape, Rng& rng) {
    return {shape, rng, std::sqrt(6 / static_cast<double>(shape[0] + shape[1]))};
  }
  Parameter<S, 3> xavier_normal(Rng& rng) const {
    Parameter<S, 3> p({1, 1, kv_width()});
    auto values = p.edit_flat();
    for (Index i = 0; i < values.size(); ++i)
      values(i) = static_cast<S>(rng.normal() / std::sqrt(static_cast<double>(kv_width())));
    return p;
  }

  /// The same value entering twice is projected once.
  static bool same(const Variable<S, 3>& a, const Variable<S, 3>& b) {
    return a.data() == b.data() && a.shape() == b.shape() && (a.id() == b.id() || (!a.link() && !b.link()));
  }
  struct Projected {
    HeadView<S> query, key, value;
    Index appended = 0;  // of the keys, the last ones that no projection made
  };
  Projected project(const Variable<S, 3>& q, const Variable<S, 3>& k, const Variable<S, 3>& v) const {
    const Index E = embed(), F = kv_width(), D = head_dim(), heads = options_.num_heads,
                kv_heads = options_.num_kv_heads;
    const auto bias = on(in_bias_, q, k, v);
    if (packed()) {
      const auto weight = in_weight_->on(q, k, v);
      if (same(q, k) && same(k, v)) {
        const auto all = dense(q, weight, bias, PackedDense<S>::of(*in_weight_, 3 * E, E));
        return {HeadView<S>(all, 0, heads, D), HeadView<S>(all, E, heads, D), HeadView<S>(all, 2 * E, heads, D)};
      }
      const auto queries = dense_rows(q, weight, bias, 0, 0, E);
      if (same(k, v)) {
        const auto both = dense_rows(k, weight, bias, E, E, 2 * E);
        return {HeadView<S>(queries, 0, heads, D), HeadView<S>(both, 0, heads, D), HeadView<S>(both, E, heads, D)};
      }
      const auto keys = dense_rows(k, weight, bias, E, E, E);
      const auto values = dense_rows(v, weight, bias, 2 * E, 2 * E, E);
      return {HeadView<S>(queries, 0, heads, D), HeadView<S>(keys, 0, heads, D), HeadView<S>(values, 0, heads, D)};
    }
    const auto queries = dense_rows(q, q_weight_->on(q, k, v), bias, 0, 0, E);
    const auto keys = dense_rows(k, k_weight_->on(q, k, v), bias, 0, E, F);
    const auto values = dense_rows(v, v_weight_->on(q, k, v), bias, 0, E + F, F);
    return {HeadView<S>(queries, 0, heads, D), HeadView<S>(keys, 0, kv_heads, D), HeadView<S>(values, 0, kv_heads, D)};
  }

  detail::AttentionResult<S> attend(const Variable<S, 3>& q, const Variable<S, 3>& k, const Variable<S, 3>& v,
                                    const Variable<S, 4>* bias, const AttentionCall& call, bool weights_wanted) const {
    const Projected p = prepare(q, k, v, call);
    return attention_.attend(p.query, p.key, p.value, bias, call, weights_wanted, p.appended);
  }
  WithStatistics statistics(const Request& request, const Variable<S, 3>& q, const Variable<S, 3>& k,
                            const Variable<S, 3>& v, const Variable<S, 4>* bias, const AttentionCall& call) const {
    const Projected p = prepare(q, k, v, call);
    const auto r = attention_.attend_with_statistics(request, p.query, p.key, p.value, bias, call, p.appended);
    return {output(r.output), r.log_sum_exp, r.entropy, r.mass_inside, r.top_weights, r.top_keys};
  }
  /// Projected, turned, and with what is appended.
  Projected prepare(const Variable<S, 3>& q, const Variable<S, 3>& k, const Variable<S, 3>& v,
                    const AttentionCall& call) const {
    check(q, k, v);
    Projected p = project(q, k, v);
    if (options_.rotary_base > 0) {
      const Index first = call.causal.corner() == Causal::bottom_right ? k.dim(1) - q.dim(1) : 0;
      p.query = rotary(take_heads(p.query), {options_.rotary_base, options_.rotary_layout, options_.rotary_dim, first});
      p.key = rotary(take_heads(p.key), {options_.rotary_base, options_.rotary_layout, options_.rotary_dim, 0});
    }
    const auto append = [&](const Variable<S, 3>& key, const Variable<S, 3>& value) {
      p.key = append_position(take_heads(p.key), key);
      p.value = append_position(take_heads(p.value), value);
      ++p.appended;
    };
    if (bias_k_) append(on(bias_k_, q, k, v), on(bias_v_, q, k, v));
    if (options_.add_zero_attn) append(absent<S, 3>(), absent<S, 3>());
    return p;
  }
  /// Rotary turning, each sample from its own first position on.
  Variable<S, 4> turned(const Variable<S, 4>& x, const std::vector<Index>& first) const {
    const auto from = [&](Index position) {
      return RotaryOptions{options_.rotary_base, options_.rotary_layout, options_.rotary_dim, position};
    };
    if (std::equal(first.begin() + 1, first.end(), first.begin())) return rotary(x, from(first[0]));
    const Shape<4> one{1, x.dim(1), x.dim(2), x.dim(3)};
    const Variable<S, 4> y(x.shape(), make_buffer<S>(x.size()));
    const Index size = element_count(one);
    for (Index b = 0; b < x.dim(0); ++b) {
      const auto sample = Variable<S, 4>::borrow(x.data() + b * size, one);
      std::copy_n(rotary(sample, from(first[static_cast<std::size_t>(b)])).data(), size, y.buffer().get() + b * size);
    }
    return y;
  }
  void check(const Variable<S, 3>& q, const Variable<S, 3>& k, const Variable<S, 3>& v) const {
    const auto check = [](const char* name, const Variable<S, 3>& x, bool ok, const auto& rule) {
      require(ok, "multi_head_attention", [&] { return message(name, " has shape ", x.shape(), "; ", rule()); });
    };
    check("query", q, q.dim(2) == embed(), [&] { return message("its last axis must be embed_dim = ", embed()); });
    check("key", k, k.dim(0) == q.dim(0) && k.dim(2) == options_.kdim, [&] {
      return message("batch must be that of query ", q.shape(), " and its last axis kdim = ", options_.kdim);
    });
    check("value", v, v.dim(0) == k.dim(0) && v.dim(1) == k.dim(1) && v.dim(2) == options_.vdim, [&] {
      return message("batch and length must be those of key ", k.shape(), " and its last axis vdim = ", options_.vdim);
    });
  }
  Variable<S, 3> output(const detail::AttentionResult<S>& r) const { return output(r.output); }
  Variable<S, 3> output(const Variable<S, 4>& context) const {
    const auto joined = context.reshape(Shape<3>{context.dim(0), context.dim(1), embed()});
    return dense(joined, out_weight_.on(joined), on(out_bias_, joined),
                 PackedDense<S>::of(out_weight_, embed(), embed()));
  }
  template <bool averaged>
  auto returned(const detail::AttentionResult<S>& r, const AttentionCall& call) const {
    const auto y = output(r);
    const auto inner = Attention<S, Score, Alignment>::template returned<averaged>(r, call);
    return Attended < Variable, S, 3, averaged ? 3 : 4 > {y, inner.weights};
  }

  MultiHeadAttentionOptions options_;
  std::optional<Parameter<S, 2>> in_weight_, q_weight_, k_weight_, v_weight_;
  std::optional<Parameter<S, 1>> in_bias_, out_bias_;
  std::optional<Parameter<S, 3>> bias_k_, bias_v_;
  Attention<S, Score, Alignment> attention_;
  Parameter<S, 2> out_weight_;
};

ATTEND_END
