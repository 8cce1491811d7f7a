#include "attend/attention/with_cache.hpp"

#include <gtest/gtest.h>

#include "attend/attention/multi_head_attention.hpp"
#include "attend/blocks/gpt_block.hpp"
#include "error_of.hpp"
#include "functional/attention_cases.hpp"

namespace with_cache_test {
namespace {
using namespace attention_cases;
using T3 = Tensor<double, 3>;

T3 sequence(Index batch, Index length, Index channels, std::uint64_t seed) {
  return random_tensor<double, 3>({batch, length, channels}, seed);
}
/// Positions [first, first + count) of samples [from, from + samples).
T3 part(const T3& x, Index first, Index count, Index from = 0, Index samples = -1) {
  T3 p(samples < 0 ? x.dimension(0) : samples, count, x.dimension(2));
  for (Index b = 0; b < p.dimension(0); ++b)
    for (Index i = 0; i < count; ++i)
      for (Index c = 0; c < x.dimension(2); ++c) p(b, i, c) = x(from + b, first + i, c);
  return p;
}
const MultiHeadAttentionOptions kinds[] = {
    {.embed_dim = 12, .num_heads = 3},
    {.embed_dim = 8, .num_heads = 4, .bias = false, .num_kv_heads = 2},
    {.embed_dim = 8, .num_heads = 2, .rotary_base = 100},
    {.embed_dim = 16,
     .num_heads = 4,
     .num_kv_heads = 1,
     .rotary_base = 10,
     .rotary_layout = RotaryLayout::interleaved,
     .rotary_dim = 2},
};
KeyValueCache<double> cache_for(const MultiHeadAttentionOptions& o, Index batch, Index length) {
  return KeyValueCache<double>({.batch = batch,
                                .max_length = length,
                                .num_heads = o.num_kv_heads ? o.num_kv_heads : o.num_heads,
                                .head_dim = o.embed_dim / o.num_heads});
}

// The same sums in another order: some roundings of a double.
TEST(WithCache, APromptAndStepsGiveWhatTheWholeSequenceGives) {
  for (const auto& o : kinds)
    for (const Index left : {Window::unlimited, Index(4)})
      for (const Index prompt : {1, 3, 12}) {
        Rng rng(1);
        const MultiHeadAttention<double> attention(o, rng);
        const T3 x = sequence(2, 17, o.embed_dim, 2);
        const T3 all = attention(x, {.causal = true, .window = {.left = left}});
        auto cache = cache_for(o, 2, 17);
        const CachedCall call{.window = {.left = left}};
        EXPECT_LE(difference(attention.with_cache(part(x, 0, prompt), cache, call), part(all, 0, prompt)), 1e-14);
        for (Index i = prompt; i < 17; ++i)
          EXPECT_LE(difference(attention.with_cache(part(x, i, 1), cache, call), part(all, i, 1)), 1e-14) << i;
        EXPECT_EQ(cache.length(), 17);
      }
}

TEST(WithCache, PromptsOfDifferentLengthsGiveWhatEachSampleGivesAlone) {
  for (const auto& o : kinds) {
    Rng rng(1);
    const MultiHeadAttention<double> attention(o, rng);
    T3 x = sequence(3, 12, o.embed_dim, 2);
    const std::vector<Index> prompts{12, 1, 5};
    for (Index b = 0; b < 3; ++b)
      for (Index i = prompts[static_cast<std::size_t>(b)]; i < 12; ++i)
        for (Index c = 0; c < o.embed_dim; ++c) x(b, i, c) = std::numeric_limits<double>::quiet_NaN();
    auto cache = cache_for(o, 3, 20);
    const T3 y = attention.with_cache(x, cache, {.lengths = prompts});
    const T3 next = sequence(3, 1, o.embed_dim, 3);
    const T3 z = attention.with_cache(next, cache);
    for (Index b = 0; b < 3; ++b) {
      const Index length = prompts[static_cast<std::size_t>(b)];
      auto alone = cache_for(o, 1, 20);
      const T3 first = attention.with_cache(part(x, 0, length, b, 1), alone);
      EXPECT_LE(difference(first, part(y, 0, length, b, 1)), 1e-14) << b;
      const T3 second = attention.with_cache(part(next, 0, 1, b, 1), alone);
      EXPECT_LE(difference(second, part(z, 0, 1, b, 1)), 1e-14) << b;
    }
  }
}

TEST(WithCache, AGptBlockContinuesItsSequence) {
  Rng rng(3);
  const GptBlock<double> block({.embed_dim = 12, .num_heads = 3, .dropout = 0.5}, rng);  // dropout is for training
  const T3 x = sequence(2, 9, 12, 4), all = block(x);
  KeyValueCache<double> cache({.batch = 2, .max_length = 9, .num_heads = 3, .head_dim = 4});
  EXPECT_LE(difference(block.with_cache(part(x, 0, 4), cache), part(all, 0, 4)), 1e-14);
  for (Index i = 4; i < 9; ++i) EXPECT_LE(difference(block.with_cache(part(x, i, 1), cache), part(all, i, 1)), 1e-14);
}

TEST(WithCache, RefusesWhatItCannotDoAndLeavesTheCache) {
  Rng rng(1);
  const MultiHeadAttention<double> attention({.embed_dim = 8, .num_heads = 2}, rng);
  const GptBlock<double> block({.embed_dim = 8, .num_heads = 2}, rng);
  KeyValueCache<double> cache({.batch = 2, .max_length = 4, .num_heads = 2, .head_dim = 4});
  attention.with_cache(sequence(2, 3, 8, 1), cache);
  const char* name = "[multi_head_attention]";
  expect_error<ShapeError>([&] { attention.with_cache(sequence(2, 2, 8, 1), cache); },
                           {"sample 0 holds 3", "max_length = 4", "2 more do not fit"});
  expect_error<ShapeError>([&] { attention.with_cache(sequence(1, 1, 8, 1), cache); },
                           {name, "(1, 1, 8)", "the cache's, 2"});
  expect_error<ShapeError>([&] { attention.with_cache(sequence(2, 1, 6, 1), cache); }, {name, "embed_dim = 8"});
  expect_error<OptionError>([&] { attention.with_cache(sequence(2, 1, 8, 1), cache, {.lengths = {1}}); },
                            {"one per sample: 2"});
  expect_error<OptionError>([&] { attention.with_cache(sequence(2, 1, 8, 1), cache, {.window = {.left = -2}}); },
                            {name, "window is {-2"});
  expect_error<OptionError>(
      [&] {
        Tape<double> tape(Mode::evaluation);
        attention.with_cache(tape.input(sequence(2, 1, 8, 1)), cache);
      },
      {name, "on a tape"});
  expect_error<ShapeError>([&] { block.with_cache(sequence(2, 2, 8, 1), cache); }, {"attn: ", "2 more do not fit"});
  KeyValueCache<double> other({.batch = 2, .max_length = 4, .num_heads = 1, .head_dim = 4});
  expect_error<ShapeError>([&] { attention.with_cache(sequence(2, 1, 8, 1), other); },
                           {name, "keys (2, 1, 2, 4)", "takes (2, 1, 1, 4)"});
  const MultiHeadAttention<double> appends({.embed_dim = 8, .num_heads = 2, .add_zero_attn = true}, rng);
  expect_error<OptionError>([&] { appends.with_cache(sequence(2, 1, 8, 1), cache); }, {name, "add_zero_attn"});
  EXPECT_EQ(cache.lengths(), (std::vector<Index>{3, 3}));
  EXPECT_EQ(other.length(), 0);
}

}  // namespace
}  // namespace with_cache_test
