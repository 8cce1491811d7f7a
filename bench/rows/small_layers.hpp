#pragma once
/// S1-S5, N1-N3, R1: gates of channels and positions, norms, softmax, activations, additive attention.
#include <attend/attention/attention.hpp>
#include <attend/attention/cbam.hpp>
#include <attend/attention/channel/squeeze_excite.hpp>
#include <attend/functional/softmax.hpp>
#include <attend/layers/layer_norm.hpp>

#include "layer_work.hpp"

namespace bench {

struct Softmax : Layer<Softmax> {
  template <class S>
  Variable<S, 2> forward(const Variable<S, 2>& x) const {
    return softmax(x);
  }
};

/// bias_gelu, between the two dense layers of a transformer.
struct BiasGelu : Layer<BiasGelu> {
  BiasGelu(Index channels, Rng& rng) : bias({1, channels}, rng, 1.0) {}
  Variable<float, 2> forward(const Variable<float, 2>& x) const { return bias_gelu(x, bias.on(x)); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("bias", self.bias);
  }
  Parameter<float, 2> bias;
};

/// A decoder's step of Bahdanau et al. 2015 over keys that were projected before: softmax(v^T tanh(q + k)) k.
/// query (batch, 1, 1, dim)  keys (batch, positions, 1, dim)  ->  (batch, 1, 1, dim)
struct BahdanauStep : Layer<BahdanauStep> {
  BahdanauStep(Index dim, Rng& rng) : weight({dim}, rng, 1 / std::sqrt(double(dim))) {}
  template <class S>
  Variable<S, 4> forward(const Variable<S, 4>& query, const Variable<S, 4>& keys) const {
    return weighted_sum(softmax(additive_scores(query, keys, weight.on(query, keys))), keys);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight);
  }
  Parameter<float, 1> weight;
};

inline double gelu_in_double(double x) { return x * 0.5 * std::erfc(-x / std::sqrt(2.0)); }

/// Where a row's result goes.
enum class Output {
  made,  ///< a new tensor for each call
  bound  ///< one tensor, by into()
};
template <class Model, int R, class Error>
Work layer_row(Output output, Model model, const Tensor<float, R>& x, const Description& description,
               const Error& error) {
  return output == Output::made ? layer_inference(std::move(model), x, description, error)
                                : layer_inference_into(std::move(model), x, description, error);
}

inline Work squeeze_excite_row(const Shape<4>& shape, Output output) {
  Rng rng(2);
  const auto options = senet_squeeze_excite(shape[3], 16);
  return layer_row(output, SqueezeExcite<float>(options, rng), normal_tensor<4>(shape, 1),
                   {{"computes", "squeeze_excite"}},
                   [options](const SqueezeExcite<float>& layer, const Tensor<float, 4>& x, const auto& y) {
                     Rng any(0);
                     return difference(y, in_double(SqueezeExcite<double>(options, any), layer)(in_double(x)));
                   });
}

inline Work cbam_row(const Shape<4>& shape) {
  Rng rng(2);
  const CbamOptions options{.channels = shape[3]};
  return layer_inference(Cbam<float>(options, rng), normal_tensor<4>(shape, 1), {{"computes", "cbam"}},
                         [options](const Cbam<float>& layer, const Tensor<float, 4>& x, const auto& y) {
                           Rng any(0);
                           return difference(y, in_double(Cbam<double>(options, any), layer)(in_double(x)));
                         });
}

/// Rows of x against `expected(row, channel, value, row's values)`.
template <class F>
double rows_difference(const Tensor<float, 2>& x, const Tensor<float, 2>& y, const F& expected) {
  Difference d;
  std::vector<double> row(std::size_t(x.dimension(1)));
  for (Index i = 0; i < x.dimension(0); ++i) {
    for (Index j = 0; j < x.dimension(1); ++j) row[std::size_t(j)] = x(i, j);
    expected(row);
    for (Index j = 0; j < x.dimension(1); ++j) d.add(y(i, j), row[std::size_t(j)]);
  }
  return d.relative();
}

inline Work layer_norm_row(const Shape<2>& shape, Output output) {
  return layer_row(output, LayerNorm<float>({.normalized_shape = shape[1]}), normal_tensor<2>(shape, 1),
                   {{"computes", "layer_norm"}}, [](const auto&, const auto& x, const auto& y) {
                     return rows_difference(x, y, [](std::vector<double>& row) {  // weight 1, bias 0
                       const double n = double(row.size());
                       double mean = 0, variance = 0;
                       for (const double v : row) mean += v / n;
                       for (const double v : row) variance += (v - mean) * (v - mean) / n;
                       for (double& v : row) v = (v - mean) / std::sqrt(variance + 1e-5);
                     });
                   });
}

inline Work softmax_row(const Shape<2>& shape, Output output) {
  return layer_row(output, Softmax(), normal_tensor<2>(shape, 1), {{"computes", "softmax"}},
                   [](const auto&, const auto& x, const auto& y) {
                     return rows_difference(x, y, [](std::vector<double>& row) {
                       double sum = 0;
                       for (double& v : row) sum += v = std::exp(v);
                       for (double& v : row) v /= sum;
                     });
                   });
}

inline Work bias_gelu_row(const Shape<2>& shape, Output output) {
  Rng rng(2);
  return layer_row(output, BiasGelu(shape[1], rng), normal_tensor<2>(shape, 1), {{"computes", "bias_gelu"}},
                   [](const BiasGelu& layer, const auto& x, const auto& y) {
                     return rows_difference(x, y, [&](std::vector<double>& row) {
                       for (std::size_t j = 0; j < row.size(); ++j)
                         row[j] = gelu_in_double(row[j] + double(layer.bias.data()[j]));
                     });
                   });
}

inline Work bahdanau_row(Index batch, Index positions, Index dim) {
  struct State {
    Tensor<float, 4> query, keys, y;
    Rng rng{2};
    BahdanauStep step;
    State(Index b, Index t, Index d)
        : query(normal_tensor<4>({b, 1, 1, d}, 1)), keys(normal_tensor<4>({b, t, 1, d}, 3)), step(d, rng) {}
  };
  const auto s = std::make_shared<State>(batch, positions, dim);
  return {[s] { s->y = s->step(s->query, s->keys); },
          [=] {
            Difference difference;
            for (Index b = 0; b < batch; ++b) {
              std::vector<double> weight(static_cast<std::size_t>(positions)), context(static_cast<std::size_t>(dim));
              double sum = 0;
              for (Index t = 0; t < positions; ++t) {
                double score = 0;
                for (Index d = 0; d < dim; ++d)
                  score += double(s->step.weight.data()[d]) *
                           std::tanh(double(s->query(b, 0, 0, d)) + double(s->keys(b, t, 0, d)));
                sum += weight[std::size_t(t)] = std::exp(score);
              }
              for (Index t = 0; t < positions; ++t)
                for (Index d = 0; d < dim; ++d)
                  context[std::size_t(d)] += weight[std::size_t(t)] / sum * double(s->keys(b, t, 0, d));
              for (Index d = 0; d < dim; ++d) difference.add(double(s->y(b, 0, 0, d)), context[std::size_t(d)]);
            }
            return difference.relative();
          },
          [s](SafetensorsWriter& file) {
            file.add("query", s->query).add("keys", s->keys).add("output", s->y);
            add_parameters<float>(file, s->step, "layer.");
            describe(file, {{"computes", "bahdanau"}}, "forward");
          }};
}

inline Rows small_layer_rows() {
  // A few roundings; means of up to 3136 values.
  constexpr double tolerance = 1e-5;
  Rows rows;
  const auto maps = [](const Shape<4>& shape) { return 2 * 4 * double(element_count(shape)); };
  const struct {
    const char* what;
    Index channels, size;
  } stages[] = {{"SE, 256 of 56x56", 256, 56},
                {"SE, 512 of 28x28", 512, 28},
                {"SE, 1024 of 14x14", 1024, 14},
                {"SE, 2048 of 7x7", 2048, 7}};
  for (const Index batch : {1, 16})
    for (int i = 0; i < 4; ++i) {
      const Shape<4> shape{batch, stages[i].size, stages[i].size, stages[i].channels};
      const Index dense = 4 * stages[i].channels * (stages[i].channels / 16) * batch;
      const std::string id = "S" + std::to_string(i + 1) + (batch == 16 ? "@16" : ""),
                        what = stages[i].what + (", N" + std::to_string(batch));
      rows.push_back({id, what, Bound::copying, double(dense), maps(shape), tolerance,
                      [shape] { return squeeze_excite_row(shape, Output::made); }});
      if (id == "S1@16" || id == "S3@16")
        rows.push_back({id + "@into", what + ", into one tensor", Bound::copying, double(dense), maps(shape), tolerance,
                        [shape] { return squeeze_excite_row(shape, Output::bound); }});
    }
  rows.push_back({"S5", "CBAM, 1024 of 14x14, N16", Bound::copying, 0, maps({16, 14, 14, 1024}), tolerance, [] {
                    return cbam_row({16, 14, 14, 1024});
                  }});
  const auto add = [&](const char* id, const char* what, const Shape<2>& shape, Work (*make)(const Shape<2>&, Output)) {
    for (const Output output : {Output::made, Output::bound})
      rows.push_back({output == Output::made ? id : id + std::string("@into"),
                      output == Output::made ? what : what + std::string(", into one tensor"), Bound::copying, 0,
                      2 * 4 * double(element_count(shape)), tolerance,
                      [shape, make, output] { return make(shape, output); }});
  };
  add("N1", "layer norm, 4096x768", {4096, 768}, layer_norm_row);
  add("N2", "softmax, 4096x4096", {4096, 4096}, softmax_row);
  add("N3", "bias and GELU, 512x3072", {512, 3072}, bias_gelu_row);
  rows.push_back({"R1", "Bahdanau decoder step, B32 T50 D512", Bound::reading, 4.0 * 32 * 50 * 512,
                  4.0 * 32 * (50 + 2) * 512, tolerance, [] { return bahdanau_row(32, 50, 512); }});
  return rows;
}

}  // namespace bench
