#pragma once
/// A1-A16 but A4-A6 (decode.hpp): scaled dot-product attention, forward, backward and both.
#include <attend/functional/attention.hpp>
#include <attend/testing/reference_attention.hpp>

#include <memory>

#include "../row.hpp"

namespace bench {

/// What a row of attention differs in.
struct AttentionCase {
  Index batch, heads, queries, keys, dim;
  Index key_heads = heads, value_dim = dim;
  bool causal = false;   // then queries and keys are of equal number
  bool bias = false;     // (1, heads, queries, keys), as a table of relative positions gives it
  double dropout = 0;    // in training
  double deviation = 1;  // of the queries: 20 gives peaked weights

  /// Of one matrix product of the forward pass, which has two; the backward pass has five.
  double product() const {
    const double pairs = double(batch * heads) * double(queries) * double(keys) * (causal ? 0.5 : 1);
    return 2 * pairs * double(dim + value_dim) / 2;
  }
  /// Of query, key, value and output.
  double bytes() const {
    return 4 * double(batch) * double(dim + value_dim) * (double(queries * heads) + double(keys * key_heads));
  }
};

class AttentionInputs {
 public:
  explicit AttentionInputs(const AttentionCase& given)
      : c(given),
        query(normal_tensor<4>({c.batch, c.queries, c.heads, c.dim}, 1, c.deviation)),
        key(normal_tensor<4>({c.batch, c.keys, c.key_heads, c.dim}, 2)),
        value(normal_tensor<4>({c.batch, c.keys, c.key_heads, c.value_dim}, 3)),
        bias(c.bias ? normal_tensor<4>({1, c.heads, c.queries, c.keys}, 4) : Tensor<float, 4>()) {}

  ScaledDotProductAttentionOptions options(double dropout = 0) const {
    return {.causal = c.causal ? Causal::top_left : Causal::none, .dropout = dropout};
  }

  /// What the library found: the output and, with a gradient of it, the gradients of the inputs.
  struct Found {
    Tensor<float, 4> output, query_gradient = {}, key_gradient = {}, value_gradient = {};
  };
  /// Against the reference, the first and the last head; without gradients some queries stand for all.
  double error(const Found& found, const Tensor<float, 4>* output_gradient = nullptr) const {
    double worst = 0;
    for (const bool last : {false, true}) {
      const Index b = last ? c.batch - 1 : 0, h = last ? c.heads - 1 : 0, g = h / (c.heads / c.key_heads);
      const auto at = positions(c.queries, output_gradient ? c.queries : 16), every = positions(c.keys, c.keys);
      testing::ReferenceAttention reference;
      if (c.causal) reference.may_attend = [&](Index, Index, Index i, Index j) { return j <= at[std::size_t(i)]; };
      if (c.bias)
        reference.bias = [&](Index, Index, Index i, Index j) { return double(bias(0, h, at[std::size_t(i)], j)); };
      Tensor<double, 4> dy(1, Index(at.size()), 1, c.value_dim);
      dy.setZero();
      if (output_gradient) dy = head_of(*output_gradient, b, h, at);
      const auto r = reference(head_of(query, b, h, at), head_of(key, b, g, every), head_of(value, b, g, every), dy);
      const auto compare = [&](const Tensor<float, 4>& mine, Index head, const std::vector<Index>& rows,
                               const Tensor<double, 4>& expected) {
        Difference d;
        const auto part = head_of(mine, b, head, rows);
        for (Index i = 0; i < expected.size(); ++i) d.add(part.data()[i], expected.data()[i]);
        worst = std::max(worst, d.relative());
      };
      compare(found.output, h, at, r.output);
      if (output_gradient) {
        compare(found.query_gradient, h, at, r.query_gradient);
        compare(found.key_gradient, g, every, r.key_gradient);
        compare(found.value_gradient, g, every, r.value_gradient);
      }
    }
    return worst;
  }
  void write(SafetensorsWriter& file, const char* pass, const Found& found,
             const Tensor<float, 4>* output_gradient = nullptr) const {
    file.add("query", query).add("key", key).add("value", value);
    if (c.bias) file.add("bias", bias);
    file.add("output", found.output);
    if (output_gradient) {
      file.add("gradient", *output_gradient);
      file.add("output.query", found.query_gradient).add("output.key", found.key_gradient);
      file.add("output.value", found.value_gradient);
    }
    file.metadata("computes", "attention").metadata("pass", pass);
    file.metadata("causal", c.causal ? "1" : "0").metadata("dropout", std::to_string(c.dropout));
  }

  AttentionCase c;
  Tensor<float, 4> query, key, value, bias;

 private:
  /// About `count` of 0 .. size - 1, spread.
  static std::vector<Index> positions(Index size, Index count) {
    std::vector<Index> at;
    for (Index i = 0; i < size; i += std::max<Index>(1, size / count)) at.push_back(i);
    return at;
  }
  static Tensor<double, 4> head_of(const Tensor<float, 4>& t, Index b, Index h, const std::vector<Index>& rows) {
    Tensor<double, 4> part(1, Index(rows.size()), 1, t.dimension(3));
    for (std::size_t i = 0; i < rows.size(); ++i)
      for (Index d = 0; d < t.dimension(3); ++d) part(0, Index(i), 0, d) = double(t(b, rows[i], h, d));
    return part;
  }
};

/// Inference: tensors in, a tensor out.
inline Work attention_forward(const AttentionCase& c) {
  struct State : AttentionInputs {
    using AttentionInputs::AttentionInputs;
    Tensor<float, 4> y;
    void call() {
      y = c.bias ? scaled_dot_product_attention(query, key, value, bias, options())
                 : scaled_dot_product_attention(query, key, value, options());
    }
  };
  const auto s = std::make_shared<State>(c);
  return {[s] { s->call(); }, [s] { return s->error({s->y}); },
          [s](SafetensorsWriter& file) { s->write(file, "forward", {s->y}); }};
}

/// Training: output and gradients of query, key and value on a tape of its own. What is compared and written is without
/// dropout, which no two libraries draw alike.
class AttentionTraining : public AttentionInputs {
 public:
  explicit AttentionTraining(const AttentionCase& given)
      : AttentionInputs(given), gradient(normal_tensor<4>({c.batch, c.queries, c.heads, c.value_dim}, 5)) {}

  template <class F>
  auto step(double dropout, const F& use) {
    Tape<float> tape(Mode::training, rng_);
    const auto q = tape.want(tape.input(query)), k = tape.want(tape.input(key)), v = tape.want(tape.input(value));
    const auto y = scaled_dot_product_attention(q, k, v, options(dropout));
    const auto g = tape.backward_from(y, gradient.data());
    return use(y, g, q, k, v);
  }
  void call() {
    step(c.dropout, [](const auto&...) {});
  }
  Found found() {
    return step(0, [](const auto& y, const auto& g, const auto& q, const auto& k, const auto& v) {
      return Found{y.tensor(), g.of(q), g.of(k), g.of(v)};
    });
  }
  Tensor<float, 4> gradient;

 private:
  Rng rng_{6};
};
inline Work attention_training(const AttentionCase& c) {
  const auto s = std::make_shared<AttentionTraining>(c);
  return {[s] { s->call(); }, [s] { return s->error(s->found(), &s->gradient); },
          [s](SafetensorsWriter& file) { s->write(file, "training", s->found(), &s->gradient); }};
}

/// The backward pass alone, again and again over one kept tape.
inline Work attention_backward(const AttentionCase& c) {
  struct State : AttentionInputs {
    explicit State(const AttentionCase& given)
        : AttentionInputs(given),
          gradient(normal_tensor<4>({c.batch, c.queries, c.heads, c.value_dim}, 5)),
          q(tape.want(tape.input(query))),
          k(tape.want(tape.input(key))),
          v(tape.want(tape.input(value))),
          y(scaled_dot_product_attention(q, k, v, options())) {}
    Gradients<float> call() { return tape.backward_from(y, gradient.data(), Keep::tape); }
    Found found() {
      const auto g = call();
      return {y.tensor(), g.of(q), g.of(k), g.of(v)};
    }
    Tensor<float, 4> gradient;
    Tape<float> tape{Mode::training};
    Variable<float, 4> q, k, v, y;
  };
  const auto s = std::make_shared<State>(c);
  return {[s] { s->call(); }, [s] { return s->error(s->found(), &s->gradient); },
          [s](SafetensorsWriter& file) { s->write(file, "backward", s->found(), &s->gradient); }};
}

inline Rows attention_rows() {
  // Sums of up to 4096 terms in float, relative to the largest: some ten roundings. Peaked weights come from scores of
  // some hundreds, whose own rounding, 1e-5, the exponential passes on.
  constexpr double exact = 1e-5, peaked = 2e-4;
  Rows rows;
  const auto add = [&](const char* id, const char* what, Bound bound, double products, const AttentionCase& c,
                       Work (*make)(const AttentionCase&) = attention_forward) {
    rows.push_back({id, what, bound, products * c.product(), c.bytes(), c.deviation > 1 ? peaked : exact,
                    [c, make] { return make(c); }});
  };
  constexpr Bound fma = Bound::products;
  add("A1", "BERT-base, B1 H12 L128 D64", fma, 2, {1, 12, 128, 128, 64});
  add("A2", "BERT-base, B8 H12 L512 D64", fma, 2, {8, 12, 512, 512, 64});
  add("A2@peaked", "the same, scores times 20", fma, 2,
      {.batch = 8, .heads = 12, .queries = 512, .keys = 512, .dim = 64, .deviation = 20});
  add("A3", "GPT-2 prefill, causal, B1 H12 L1024 D64", fma, 2,
      {.batch = 1, .heads = 12, .queries = 1024, .keys = 1024, .dim = 64, .causal = true});
  add("A7", "grouped-query prefill, causal, B1 H32/8 L2048 D128", fma, 2,
      {.batch = 1, .heads = 32, .queries = 2048, .keys = 2048, .dim = 128, .key_heads = 8, .causal = true});
  add("A8", "ViT-S/16, B8 H6 L197 D64", fma, 2, {8, 6, 197, 197, 64});
  add("A9", "ViT-B/16, B8 H12 L197 D64", fma, 2, {8, 12, 197, 197, 64});
  add("A10", "Swin-T windows, relative bias, B512 H3 L49 D32", fma, 2,
      {.batch = 512, .heads = 3, .queries = 49, .keys = 49, .dim = 32, .bias = true});
  add("A11", "diffusion UNet 64x64, B2 H8 L4096 D40", fma, 2, {2, 8, 4096, 4096, 40});
  add("A12", "diffusion UNet to text, B2 H8 4096x77 D40", fma, 2, {2, 8, 4096, 77, 40});
  add("A13", "DANet positions, B1 H1 L4096 D64 Dv512", fma, 2, {1, 1, 4096, 4096, 64, 1, 512});
  add("A14", "SAGAN 32x32, B8 H1 L1024 D8 Dv64", fma, 2, {8, 1, 1024, 1024, 8, 1, 64});
  add("A15", "BERT training, dropout 0.1, B8 H12 L512 D64", fma, 7,
      {.batch = 8, .heads = 12, .queries = 512, .keys = 512, .dim = 64, .dropout = 0.1}, attention_training);
  add("A16", "GPT backward, causal, B8 H12 L1024 D64", fma, 5,
      {.batch = 8, .heads = 12, .queries = 1024, .keys = 1024, .dim = 64, .causal = true}, attention_backward);
  return rows;
}

}  // namespace bench
