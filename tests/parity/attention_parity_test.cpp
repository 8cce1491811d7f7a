#include "attend/functional/attention.hpp"

#include "parity/golden.hpp"

namespace attention_parity_test {
namespace {
using namespace attend;
using Options = ScaledDotProductAttentionOptions;

/// Both forms: without weights, and with them, whose output must agree as well.
template <class F>
golden::Check sdpa(const F& attention) {
  return golden::check([attention](auto& run) -> void {
    const auto q = run.template input<4>(0), k = run.template input<4>(1), v = run.template input<4>(2);
    run.output(attention(run, q, k, v));
    run.finish();
  });
}
const auto plain = [](const Options& o) {
  return sdpa(
      [o](auto&, const auto& q, const auto& k, const auto& v) { return scaled_dot_product_attention(q, k, v, o); });
};
const auto with_weights = [](const Options& o) {
  return sdpa([o](auto&, const auto& q, const auto& k, const auto& v) {
    return scaled_dot_product_attention_with_weights(q, k, v, o).output;
  });
};
const auto masked = [] {
  return sdpa([](auto& run, const auto& q, const auto& k, const auto& v) {
    return scaled_dot_product_attention(q, k, v, {.mask = AttendMask(run.template tensor<4, bool>("input.3"))});
  });
};
const auto biased = [] {
  return sdpa([](auto& run, const auto& q, const auto& k, const auto& v) {
    return scaled_dot_product_attention(q, k, v, run.template input<4>(3));
  });
};
const golden::Cases cases("sdpa", {
                                      {"plain", plain({})},
                                      {"self", with_weights({})},
                                      {"value_dim", plain({})},
                                      {"value_dim_smaller", with_weights({})},
                                      {"scale", plain({.scale = 0.7})},
                                      {"one_query", plain({})},
                                      {"one_key", plain({})},
                                      {"long", plain({})},
                                      {"causal", plain({.causal = true})},
                                      {"causal_more_keys", plain({.causal = Causal::top_left})},
                                      {"causal_more_queries", with_weights({.causal = Causal::top_left})},
                                      {"causal_bottom_right", plain({.causal = Causal::bottom_right})},
                                      {"mask_full", masked()},
                                      {"mask_shared", masked()},
                                      {"mask_per_head", masked()},
                                      {"mask_keys", masked()},
                                      {"mask_dead_row", masked()},
                                      {"bias_full", biased()},
                                      {"bias_per_head", biased()},
                                      {"bias_shared", biased()},
                                      {"bias_keys", biased()},
                                      {"grouped", plain({})},
                                      {"grouped_one", with_weights({})},
                                      {"grouped_causal", plain({.causal = true})},
                                  });
}  // namespace
}  // namespace attention_parity_test
