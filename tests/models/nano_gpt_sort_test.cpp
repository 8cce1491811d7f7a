// A trained GPT that sorts six digits, loaded by its published names into the library's own blocks.
#include <gtest/gtest.h>

#include "attend/blocks/gpt_block.hpp"
#include "attend/functional/softmax.hpp"
#include "attend/io/safetensors.hpp"
#include "attend/layers/embedding.hpp"
#include "attend/layers/learned_position.hpp"
#include "shared_data.hpp"

namespace nano_gpt_sort_test {
namespace {
using namespace attend;

/// minGPT with 3 layers, 3 heads, 48 channels, a vocabulary of 3 digits and 11 positions.
struct NanoGpt : Layer<NanoGpt> {
  struct Transformer : Layer<Transformer> {
    explicit Transformer(Rng& rng)
        : wte({.num_embeddings = 3, .embed_dim = 48}, rng), wpe({.max_length = 11, .embed_dim = 48}, rng) {
      for (int i = 0; i < 3; ++i) h.emplace_back(GptBlockOptions{.embed_dim = 48, .num_heads = 3}, rng);
    }
    template <class Id>
    Variable<float, 3> forward(const Variable<Id, 2>& ids) const {
      auto x = wpe(wte(ids));
      for (const auto& block : h) x = block(x);
      return ln_f(x);
    }
    /// The positions after those in the caches, one of each block.
    template <class Id>
    Variable<float, 3> next(const Variable<Id, 2>& ids, std::vector<KeyValueCache<float>>& caches) const {
      auto x = wpe(wte(ids), {.offset = caches[0].length()});
      for (std::size_t i = 0; i < h.size(); ++i) x = h[i].with_cache(x, caches[i]);
      return ln_f(x);
    }
    template <class Self, class Visit>
    static void children(Self& self, Visit&& visit) {
      visit("wte", self.wte);
      visit("wpe", self.wpe);
      visit("h", self.h);
      visit("ln_f", self.ln_f);
    }
    Embedding<float> wte;
    LearnedPosition<float> wpe;
    std::vector<GptBlock<float>> h;
    LayerNorm<float> ln_f{{.normalized_shape = 48}};
  };
  explicit NanoGpt(Rng& rng) : transformer(rng), lm_head({.in_features = 48, .out_features = 3, .bias = false}, rng) {}
  template <class Id>
  Variable<float, 3> forward(const Variable<Id, 2>& ids) const {
    return lm_head(transformer(ids));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("transformer", self.transformer);
    visit("lm_head", self.lm_head);
  }
  Transformer transformer;
  Dense<float> lm_head;
};

class NanoGptSort : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto folder = shared_data("nano-gpt-sort");
    if (!folder) GTEST_SKIP() << "shared/data/nano-gpt-sort is not there";
    // The file also holds each block's causal mask (attn.bias), which is no parameter: loaded in part, and everything else checked.
    LoadOptions options;
    options.strict = false;
    const auto report = load_safetensors(*folder / "model.safetensors", model_, options);
    EXPECT_TRUE(report.missing.empty() && report.mismatching.empty()) << report.text();
    EXPECT_EQ(report.loaded.size(), 41u);
    EXPECT_EQ(report.unexpected, (std::vector<std::string>{"transformer.h.0.attn.bias", "transformer.h.1.attn.bias",
                                                           "transformer.h.2.attn.bias"}));
    activations_.emplace(*folder / "activations.safetensors");
  }
  /// Every number agrees to 1e-5, relative where above 1: both are float32 results of the same formulas, summed in other orders.
  template <class T>
  void expect_stored(const std::string& name, const T& ours) {
    const auto stored = activations_->flat<float>(name);
    ASSERT_EQ(stored.size(), ours.size()) << name;
    ++compared_;
    for (Index i = 0; i < stored.size(); ++i)
      ASSERT_NEAR(ours.data()[i], stored(i), 1e-5 * std::max(1.f, std::abs(stored(i)))) << name << " " << i;
  }
  Rng rng_{1};
  NanoGpt model_{rng_};
  std::optional<SafetensorsFile> activations_;
  int compared_ = 0;
};

/// The child of a block with this name and type.
template <class Child, class Parent>
const Child& child(const Parent& parent, const std::string& name) {
  const Child* found = nullptr;
  Parent::children(parent, [&](const std::string& path, const auto& node) {
    if constexpr (std::is_same_v<std::decay_t<decltype(node)>, Child>) {
      if (path == name) found = &node;
    }
  });
  return *found;
}
/// (B, L, 3, 16) of columns [first, first + 48), stored with heads before length: (B, 3, L, 16).
Tensor<float, 4> heads(const Tensor<float, 3>& x, Index first) {
  Tensor<float, 4> parts(x.dimension(0), 3, x.dimension(1), 16);
  for (Index b = 0; b < parts.dimension(0); ++b)
    for (Index h = 0; h < 3; ++h)
      for (Index l = 0; l < parts.dimension(2); ++l)
        for (Index d = 0; d < 16; ++d) parts(b, h, l, d) = x(b, l, first + h * 16 + d);
  return parts;
}
Tensor<float, 3> sum(const Tensor<float, 3>& a, const Tensor<float, 3>& b) { return a + b; }

TEST_F(NanoGptSort, EveryStoredActivationAgrees) {
  const auto idx = activations_->tensor<std::int64_t, 2>("idx");
  const auto& t = model_.transformer;
  const auto tokens = t.wte(idx);
  expect_stored("tok_emb", tokens);
  const auto zeros = Tensor<float, 3>(Tensor<float, 3>(1, 11, 48).setZero());
  expect_stored("pos_emb", t.wpe(zeros));
  const auto x = t.wpe(tokens);
  expect_stored("x", x);

  const auto& block = t.h[0];
  const auto& attention = child<GptAttention<float>>(block, "attn");
  const auto& mlp = child<GptMlp<float>>(block, "mlp");
  const auto ln1 = child<LayerNorm<float>>(block, "ln_1")(x);
  expect_stored("ln1", ln1);
  const auto qkv = child<Dense<float>>(attention, "c_attn")(ln1);
  expect_stored("qkv", qkv);
  const auto q = heads(qkv, 0), k = heads(qkv, 48), v = heads(qkv, 96);
  expect_stored("q", q);
  expect_stored("k", k);
  expect_stored("v", v);
  Tensor<float, 4> scores(3, 3, 11, 11);
  for (Index b = 0; b < 3; ++b)
    for (Index h = 0; h < 3; ++h)
      for (Index i = 0; i < 11; ++i)
        for (Index j = 0; j < 11; ++j) {
          float score = 0;
          for (Index d = 0; d < 16; ++d) score += q(b, h, i, d) * k(b, h, j, d) / 4;
          scores(b, h, i, j) = j > i ? -std::numeric_limits<float>::infinity() : score;
        }
  const auto stored = activations_->flat<float>("att");
  ++compared_;
  for (Index i = 0; i < stored.size(); ++i) {
    if (std::isinf(stored(i)))
      ASSERT_EQ(scores.data()[i], stored(i));
    else
      ASSERT_NEAR(scores.data()[i], stored(i), 1e-5 * std::max(1.f, std::abs(stored(i))));
  }
  Tensor<float, 3> attended;
  {
    const Recording recording(attention);
    attended = attention(ln1);
    const auto weights = recording.all<4>("weights");
    ASSERT_EQ(weights.size(), 1u);
    expect_stored("attSm", weights[0].tensor());
    Tensor<float, 3> y(3, 11, 48);
    for (Index b = 0; b < 3; ++b)
      for (Index i = 0; i < 11; ++i)
        for (Index c = 0; c < 48; ++c) {
          y(b, i, c) = 0;
          for (Index j = 0; j < 11; ++j)
            y(b, i, c) += weights[0].data()[((b * 3 + c / 16) * 11 + i) * 11 + j] * v(b, c / 16, j, c % 16);
        }
    expect_stored("y", y);
  }
  expect_stored("yProj", attended);
  const auto residual = sum(x, attended);
  expect_stored("attnResid", residual);
  const auto ln2 = child<LayerNorm<float>>(block, "ln_2")(residual);
  expect_stored("ln2", ln2);
  const auto fc = child<Dense<float>>(mlp, "c_fc")(ln2);
  expect_stored("fc", fc);
  const auto gelu_of_fc = gelu(Variable<float, 3>(fc), GeluForm::tanh).tensor();
  expect_stored("gelu", gelu_of_fc);
  expect_stored("mlp", mlp(ln2));
  expect_stored("mlpResid", sum(residual, mlp(ln2)));

  const auto block0 = t.h[0](x), block1 = t.h[1](block0), block2 = t.h[2](block1);
  expect_stored("block0", block0);
  expect_stored("block1", block1);
  expect_stored("block2", block2);
  expect_stored("ln_f", t.ln_f(block2));
  const auto logits = model_(idx);
  expect_stored("lm_head", logits);
  expect_stored("probs", softmax(Variable<float, 3>(logits), -1).tensor());
  EXPECT_EQ(compared_, 24);  // all 25 tensors of the file but the input
}

TEST_F(NanoGptSort, SortsAll729Inputs) {
  Tensor<std::int32_t, 2> ids(729, 6);
  for (int n = 0; n < 729; ++n)
    for (int i = 0, rest = n; i < 6; ++i, rest /= 3) ids(n, i) = rest % 3;
  while (ids.dimension(1) < 12) {  // the five digits after the input feed the next ones; the last is only read
    const Index length = ids.dimension(1);
    const auto logits = model_(ids);
    Tensor<std::int32_t, 2> longer(729, length + 1);
    for (Index n = 0; n < 729; ++n) {
      for (Index i = 0; i < length; ++i) longer(n, i) = ids(n, i);
      const float* last = &logits(n, length - 1, 0);
      longer(n, length) = std::int32_t(std::max_element(last, last + 3) - last);
    }
    ids = longer;
  }
  int sorted = 0;
  for (Index n = 0; n < 729; ++n) {
    std::vector<std::int32_t> expected(&ids(n, 0), &ids(n, 0) + 6);
    std::sort(expected.begin(), expected.end());
    sorted += std::equal(expected.begin(), expected.end(), &ids(n, 6));
  }
  EXPECT_EQ(sorted, 729);
}

// What a cache gives is what the full pass gives, to the rounding of another order of sums.
TEST_F(NanoGptSort, GenerationWithACacheGivesTheLogitsOfTheFullPassAndSortsAll729Inputs) {
  Tensor<std::int32_t, 2> all(729, 12);
  for (int n = 0; n < 729; ++n)
    for (int i = 0, rest = n; i < 6; ++i, rest /= 3) all(n, i) = rest % 3;
  std::vector<KeyValueCache<float>> caches(
      3, KeyValueCache<float>({.batch = 729, .max_length = 11, .num_heads = 3, .head_dim = 16}));
  const auto columns = [&](Index first, Index count) {
    Tensor<std::int32_t, 2> part(729, count);
    for (Index n = 0; n < 729; ++n)
      for (Index i = 0; i < count; ++i) part(n, i) = all(n, first + i);
    return Variable<std::int32_t, 2>(part);
  };
  for (Index length = 6; length < 12; ++length) {
    const auto step = length == 6 ? columns(0, 6) : columns(length - 1, 1);  // the prompt, then digit by digit
    const Tensor<float, 3> logits = model_.lm_head(model_.transformer.next(step, caches)).tensor();
    ASSERT_EQ(caches[2].length(), length);
    const Tensor<float, 3> full = model_(columns(0, length)).tensor();
    const Index last = logits.dimension(1) - 1;
    for (Index n = 0; n < 729; ++n) {
      for (Index c = 0; c < 3; ++c)
        ASSERT_NEAR(logits(n, last, c), full(n, length - 1, c), 1e-5 * std::max(1.f, std::abs(full(n, length - 1, c))));
      const float* row = &logits(n, last, 0);
      all(n, length) = std::int32_t(std::max_element(row, row + 3) - row);
    }
  }
  int sorted = 0;
  for (Index n = 0; n < 729; ++n) {
    std::vector<std::int32_t> expected(&all(n, 0), &all(n, 0) + 6);
    std::sort(expected.begin(), expected.end());
    sorted += std::equal(expected.begin(), expected.end(), &all(n, 6));
  }
  EXPECT_EQ(sorted, 729);
}

}  // namespace
}  // namespace nano_gpt_sort_test
