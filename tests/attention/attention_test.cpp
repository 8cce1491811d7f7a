#include "attend/attention/attention.hpp"

#include <gtest/gtest.h>

#include "attend/attention/score/additive.hpp"
#include "attend/attention/score/general.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/layers/dense.hpp"
#include "functional/attention_cases.hpp"

namespace attention_test {
using namespace attention_cases;
using attend::testing::check_gradients;

namespace {

/// A user's own score, as a user writes it: tanh(k^T (W q + b)), the activated general score of Ma et al. 2017.
template <class S>
class ActivatedGeneral : public Layer<ActivatedGeneral<S>> {
 public:
  ActivatedGeneral(Index head_dim, Rng& rng) : map_({.in_features = head_dim, .out_features = head_dim}, rng) {}
  Variable<S, 4> forward(const Variable<S, 4>& query, const Variable<S, 4>& key) const {
    return tanh(dot_scores(map_(query), key, S(1)));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("map", self.map_);
  }

 private:
  Dense<S> map_;
};

/// A user's own alignment: uniform over what may be attended to (the survey's ablation).
struct Uniform {
  template <class S>
  static Variable<S, 4> weights(const Variable<S, 4>& scores, const MayAttend& may_attend) {
    return masked_softmax(scores * S(0), may_attend);
  }
};

const Sizes sizes{2, 3, 5, 4, 2, 6, 3};

template <class A>
void check_all_options(A& attention, const char* name) {
  const Inputs in(sizes);
  const auto bias = random_tensor<double, 4>({1, 4, 3, 1}, 4);
  for (const AttentionCall& call :
       {AttentionCall{},
        AttentionCall{.causal = Causal::bottom_right, .keys = {5, 2}, .weights = Weights::after_dropout}}) {
    SCOPED_TRACE(name);
    auto report = check_gradients(
        attention, [&](const auto& q, const auto& k, const auto& v) { return attention(q, k, v, call); }, in.q, in.k,
        in.v);
    EXPECT_TRUE(report.ok()) << report.text();
    report = check_gradients(
        attention,
        [&](const auto& q, const auto& k, const auto& v, const auto& b) {
          return attention.with_weights(q, k, v, b, call);
        },
        in.q, in.k, in.v, bias);
    EXPECT_TRUE(report.ok()) << report.text();
    report = check_gradients(
        attention,
        [&](const auto& q, const auto& k, const auto& v) { return attention.with_average_weights(q, k, v, call); },
        in.q, in.k, in.v);
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

struct TwoAttentions : Layer<TwoAttentions> {
  Attention<double> first;
  Attention<double, score::Additive> second;
  explicit TwoAttentions(Rng& rng) : first({.dropout = 0.5}, rng), second({.head_dim = 6}, rng) {}
  Variable<double, 4> forward(const Variable<double, 4>& q, const Variable<double, 4>& k) const {
    return second(first(q, k, k), k, k);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("first", self.first);
    visit("second", self.second);
  }
};
struct Outer : Layer<Outer> {
  Attention<double> inner;
  Variable<double, 4> forward(const Variable<double, 4>& q, const Variable<double, 4>& k) const {
    return inner.with_weights(q, k, k, {.causal = true}).output;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("inner", self.inner);
  }
};

}  // namespace

TEST(GenericAttention, GradientChecksOfEveryScore) {
  Rng rng(2);
  Attention<double, score::Dot> dot_product({.dropout = 0.3}, rng);
  check_all_options(dot_product, "dot");
  Attention<double> scaled;
  check_all_options(scaled, "scaled dot");
  Attention<double, score::General> general({.head_dim = 6, .dropout = 0.3}, rng);
  check_all_options(general, "general");
  Attention<double, score::Additive> additive({.head_dim = 6, .dropout = 0.3}, rng);
  check_all_options(additive, "additive");
  Attention<double, ActivatedGeneral> own({.head_dim = 6, .dropout = 0.3}, rng);
  check_all_options(own, "activated general, a user's");
  Attention<double, score::ScaledDot, Uniform> uniform;
  check_all_options(uniform, "uniform, a user's");
}

// The fused kernel and the steps compute the same; a score of dot type says so only to be fast.
TEST(GenericAttention, FusedAndStepwiseAgree) {
  Rng rng(2);
  const Attention<double, score::General> general({.head_dim = 6}, rng);
  const score::General<double> score = [&] {
    Rng again(2);
    return score::General<double>(6, again);
  }();
  const Inputs in(sizes);
  const T4 bias = random_tensor<double, 4>({2, 1, 3, 5}, 4);
  for (const auto& mask : mask_cases(sizes)) {
    AttentionCall call{mask.options.causal, mask.options.keys, mask.options.mask, mask.options.padding,
                       mask.options.window};
    const auto [output, weights] = general.with_weights(in.q, in.k, in.v, bias, call);
    const Variable<double, 4> q(in.q), k(in.k), v(in.v), b(bias);
    const auto steps =
        masked_softmax(add_bias(score(q, repeat_heads(k, 2)), b), MayAttend("test", call.masks(), {2, 4, 3, 5}));
    EXPECT_LE(difference(weights, steps.tensor()), 1e-14) << mask.name;
    EXPECT_LE(difference(output, weighted_sum(steps, v).tensor()), 1e-14) << mask.name;
  }
}

TEST(GenericAttention, ScoresComputeTheirFormula) {
  Rng rng(3);
  const Inputs in({1, 2, 3, 1, 1, 4, 1});
  const auto at = [](const T4& x, Index i, Index d) { return x(0, i, 0, d); };
  const score::Additive<double> additive(4, rng);
  const score::General<double> general(4, rng);
  const auto a = parameters<double>(additive);
  const auto w = parameters<double>(general);
  ASSERT_EQ(a.size(), 4u);
  EXPECT_EQ(a[0].name + " " + a[1].name + " " + a[2].name + " " + a[3].name + " " + w[0].name,
            "query.weight query.bias key.weight weight weight");
  for (Index i = 0; i < 2; ++i)
    for (Index j = 0; j < 3; ++j) {
      double dot_product = 0, bilinear = 0, sum = 0;
      for (Index d = 0; d < 4; ++d) {
        dot_product += at(in.q, i, d) * at(in.k, j, d);
        double inner = a[1]->data()[d];
        for (Index e = 0; e < 4; ++e) {
          bilinear += at(in.k, j, d) * w[0]->data()[d * 4 + e] * at(in.q, i, e);
          inner += a[0]->data()[d * 4 + e] * at(in.q, i, e) + a[2]->data()[d * 4 + e] * at(in.k, j, e);
        }
        sum += a[3]->data()[d] * std::tanh(inner);
      }
      EXPECT_NEAR(score::Dot<double>()(in.q, in.k)(0, 0, i, j), dot_product, 1e-15);
      EXPECT_NEAR(score::ScaledDot<double>()(in.q, in.k)(0, 0, i, j), dot_product / 2, 1e-15);
      EXPECT_NEAR(general(in.q, in.k)(0, 0, i, j), bilinear, 1e-15);
      EXPECT_NEAR(additive(in.q, in.k)(0, 0, i, j), sum, 1e-15);
    }
}

// A user's score learns: of eight keys, the one whose second number is the query's first is to be found.
TEST(GenericAttention, AUsersScoreCanBeTrained) {
  Rng rng(5);
  Attention<float, ActivatedGeneral> attention({.head_dim = 4}, rng);
  const auto step = [&](Index samples, float learning_rate) {
    Tensor<float, 4> q(samples, 1, 1, 4), k(samples, 8, 1, 4), v(samples, 8, 1, 1), target(samples, 1, 1, 1);
    q.setZero();
    k.setZero();
    for (Index b = 0; b < samples; ++b) {
      const Index wanted = rng.below(8);
      q(b, 0, 0, 0) = 4;
      for (Index j = 0; j < 8; ++j) {
        k(b, j, 0, 1) = j == wanted ? 4.f : -4.f;
        v(b, j, 0, 0) = static_cast<float>(rng.normal());
      }
      target(b, 0, 0, 0) = v(b, wanted, 0, 0);
    }
    Tape<float> tape(Mode::training);
    const auto error = attention(tape.input(q), tape.input(k), tape.input(v)) - tape.input(target);
    const auto loss = dot(error, error);
    const auto gradients = tape.backward(loss);
    for (const auto& p : parameters<float>(attention)) {
      auto values = p->edit_flat();
      const float* g = gradients.find(*p.data);
      for (Index i = 0; i < values.size(); ++i) values(i) -= learning_rate * g[i] / static_cast<float>(samples);
    }
    return loss.item() / static_cast<float>(samples);
  };
  for (const auto& p : parameters<float>(attention))
    p->edit_flat().setConstant(-0.02f);  // looks away from the wanted key
  const float first = step(512, 0);
  for (int i = 0; i < 100; ++i) step(16, 0.01f);
  const float last = step(512, 0);
  // scores lie in [-1, 1], so the wanted one of eight gets e / (e + 7 / e) = 0.51 at most: 0.49^2 + 7 * 0.07^2 = 0.28 remains
  EXPECT_GT(first, 0.8f);
  EXPECT_LT(last, 0.33f);
}

TEST(GenericAttention, MaskedKeysReachNothingOnTheStepwisePath) {  // FM 2.1: NaN behind a mask
  Rng rng(2);
  const Attention<double, score::Additive> attention({.head_dim = 4}, rng);
  const Inputs in({2, 3, 6, 2, 1, 4, 3});
  T4 k = in.k, v = in.v;
  for (Index j = 4; j < 6; ++j)
    for (Index d = 0; d < 4; ++d)
      k(0, j, 0, d) = v(0, j, 0, std::min<Index>(d, 2)) = std::numeric_limits<double>::quiet_NaN();
  const auto run = [&](const T4& keys, const T4& values) {
    Tape<double> tape(Mode::training);
    const auto qv = tape.want(tape.input(in.q)), kv = tape.want(tape.input(keys)), vv = tape.want(tape.input(values));
    const auto [y, w] = attention.with_weights(qv, kv, vv, {.keys = {4, 0}});
    const auto g = tape.backward({{dot(y, y), 1}, {dot(w, w), 1}});
    return std::array<T4, 5>{y.tensor(), w.tensor(), g.of(qv), g.of(kv), g.of(vv)};
  };
  const auto clean = run(in.k, in.v), dirty = run(k, v);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_TRUE(same_bits(clean[i], dirty[i])) << i;
  for (std::size_t i = 0; i < 5; ++i)
    for (Index e = clean[i].size() / 2; e < clean[i].size(); ++e)
      EXPECT_EQ(clean[i].data()[e], 0);  // the sample without keys
}

// Weights are made when a recording or the caller asks, not otherwise, and the output is the same bits.
TEST(GenericAttention, RecordingsReceiveWeightsBeforeDropout) {
  Rng rng(1), draws(2);
  const TwoAttentions net(rng);
  const Inputs in(sizes);
  const T4 quiet = net(in.q, in.k);
  const Recording recording(net);
  EXPECT_TRUE(same_bits(quiet, net(in.q, in.k)));
  Tape<double> tape(Mode::training, draws);
  net(tape.input(in.q), in.k);
  const auto first = recording.all<4, double>("first.weights"), second = recording.all<4, double>("second.weights");
  ASSERT_EQ(first.size(), 2u);
  ASSERT_EQ(second.size(), 2u);
  EXPECT_TRUE(same_bits(first[0].tensor(), first[1].tensor()));  // the second call dropped, after
  EXPECT_EQ(first[0].shape(), (Shape<4>{2, 4, 3, 5}));
  EXPECT_TRUE(same_bits(first[0].tensor(), net.first.with_weights(in.q, in.k, in.k).weights));
}

TEST(GenericAttention, WeightsAfterDropoutAreWhatTheOutputUsed) {
  Rng rng(1), draws(2);
  Attention<double> attention({.dropout = 0.5}, rng);
  const Inputs in(sizes);
  Tape<double> tape(Mode::training, draws);
  const auto [y, w] = attention.with_weights(tape.input(in.q), in.k, in.v, {.weights = Weights::after_dropout});
  EXPECT_LE(difference(y.tensor(), weighted_sum(Variable<double, 4>(w.tensor()), Variable<double, 4>(in.v)).tensor()),
            1e-14);
  EXPECT_TRUE(std::any_of(w.data(), w.data() + w.size(), [](double x) { return x == 0; }));
}

TEST(GenericAttention, ErrorsBearTheNameOfTheLayer) {
  const Inputs in(sizes);
  try {
    Outer()(in.q, in.k);
    FAIL();
  } catch (const OptionError& e) {
    EXPECT_EQ(
        std::string(e.what()),
        "inner: [attention] causal = true with 3 queries and 5 keys; choose Causal::top_left or Causal::bottom_right");
  }
}

// T5 takes q k^T as it is, everybody else divides by sqrt(D).
TEST(Trap, T7_DotDoesNotScaleAndScaledDotDivides) {
  const auto q = random_tensor<double, 4>({1, 3, 1, 16}, 1), k = random_tensor<double, 4>({1, 5, 1, 16}, 2),
             v = random_tensor<double, 4>({1, 5, 1, 2}, 3);
  EXPECT_LE(difference(Attention<double, score::Dot>()(q, k, v), scaled_dot_product_attention(q, k, v, {.scale = 1})),
            1e-15);
  EXPECT_LE(difference(Attention<double, score::ScaledDot>()(q, k, v),
                       scaled_dot_product_attention(q, k, v, {.scale = 0.25})),
            1e-15);
}
}  // namespace attention_test
