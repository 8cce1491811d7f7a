#include "attend/attention/multi_head_attention.hpp"

#include "attend/attention/score/additive.hpp"
#include "attend/attention/score/general.hpp"
#include "parity/golden.hpp"

namespace multi_head_attention_parity_test {
namespace {
using namespace attend;

// ---- nn.MultiheadAttention ----

enum class Extra { none, padding, mask, mask_heads, bias, bias_heads, mask_and_padding, causal, decoding };

/// PyTorch's masks say what to ignore.
template <int R>
Tensor<bool, R> negated(Tensor<bool, R> mask) {
  for (Index i = 0; i < mask.size(); ++i) mask.data()[i] = !mask.data()[i];
  return mask;
}

template <class S>
void attend_case(golden::Run<S>& run, const MultiHeadAttentionOptions& options, int inputs, Extra extra, bool average,
                 bool weights) {
  auto layer = golden::make_layer<MultiHeadAttention<S>>(options);
  run.load(layer);
  const auto q = run.template input<3>(0), k = inputs > 1 ? run.template input<3>(1) : q,
             v = inputs > 2 ? run.template input<3>(2) : k;
  const Index batch = q.dim(0), heads = options.num_heads, queries = q.dim(1), keys = k.dim(1);
  const std::string first = "input." + std::to_string(inputs), second = "input." + std::to_string(inputs + 1);
  AttentionCall call;
  if (extra == Extra::padding || extra == Extra::mask_and_padding)
    call.padding = PaddingMask(run.template tensor<2, bool>(first));
  if (extra == Extra::mask) call.mask = AttendMask(negated(run.template tensor<2, bool>(first)));
  if (extra == Extra::mask_and_padding) call.mask = AttendMask(negated(run.template tensor<2, bool>(second)));
  if (extra == Extra::mask_heads) {  // entry b heads + h of the first axis
    const auto flat = negated(run.template tensor<3, bool>(first));
    call.mask = AttendMask(Eigen::TensorMap<const Tensor<bool, 4>>(flat.data(), Shape<4>{batch, heads, queries, keys}));
  }
  if (extra == Extra::causal) call.causal = true;
  if (extra == Extra::decoding) call.causal = Causal::bottom_right;
  const auto finish = [&](const auto&... bias) {
    if (!weights) {
      run.output(layer.forward(q, k, v, bias..., call));
    } else if (average) {
      const auto result = layer.template forward_with_weights<true>(q, k, v, bias..., call);
      run.outputs(result.output, result.weights);
    } else {
      const auto result = layer.template forward_with_weights<false>(q, k, v, bias..., call);
      run.outputs(result.output, result.weights);
    }
  };
  if (extra == Extra::bias)
    finish(run.template input<2>(inputs).reshape(Shape<4>{1, 1, queries, keys}));
  else if (extra == Extra::bias_heads)
    finish(run.template input<3>(inputs).reshape(Shape<4>{batch, heads, queries, keys}));
  else
    finish();
  run.finish();
}

golden::Check mha(const MultiHeadAttentionOptions& o, int inputs, Extra extra = Extra::none, bool average = true,
                  bool weights = true) {
  return golden::check([=](auto& run) -> void { attend_case(run, o, inputs, extra, average, weights); });
}
const bool per_head = false;
const MultiHeadAttentionOptions base = {.embed_dim = 6, .num_heads = 3};
const MultiHeadAttentionOptions bias_kv = {.embed_dim = 6, .num_heads = 3, .add_bias_kv = true};
const MultiHeadAttentionOptions bias_kv_zero = {
    .embed_dim = 6, .num_heads = 3, .add_bias_kv = true, .add_zero_attn = true};
const golden::Cases cases(
    "multi_head_attention",
    {
        {"self", mha(base, 1)},
        {"self_per_head", mha(base, 1, Extra::none, per_head)},
        {"self_no_weights", mha(base, 1, Extra::none, true, false)},
        {"no_bias", mha({.embed_dim = 6, .num_heads = 3, .bias = false}, 1)},
        {"one_head", mha({.embed_dim = 7, .num_heads = 1}, 1)},
        {"cross", mha(base, 2)},
        {"separate", mha(base, 3)},
        {"kdim_vdim", mha({.embed_dim = 6, .num_heads = 3, .kdim = 4, .vdim = 9}, 3)},
        {"kdim", mha({.embed_dim = 6, .num_heads = 3, .kdim = 4}, 3)},
        {"vdim_no_bias", mha({.embed_dim = 6, .num_heads = 3, .bias = false, .vdim = 5}, 3)},
        {"bias_kv", mha(bias_kv, 3)},
        {"zero_attn", mha({.embed_dim = 6, .num_heads = 3, .add_zero_attn = true}, 3, Extra::none, per_head)},
        {"bias_kv_zero_attn",
         mha({.embed_dim = 6, .num_heads = 3, .add_bias_kv = true, .add_zero_attn = true, .kdim = 4, .vdim = 9}, 3,
             Extra::none, per_head)},
        {"key_padding", mha(base, 3, Extra::padding, per_head)},
        {"key_padding_bias_kv_zero", mha(bias_kv_zero, 3, Extra::padding)},
        {"mask_bool", mha(base, 3, Extra::mask)},
        {"mask_bool_heads", mha(base, 3, Extra::mask_heads, per_head)},
        {"mask_bool_bias_kv", mha(bias_kv, 3, Extra::mask)},
        {"mask_float", mha(base, 3, Extra::bias)},
        {"mask_float_heads", mha(base, 3, Extra::bias_heads)},
        {"mask_and_padding", mha(base, 3, Extra::mask_and_padding, per_head)},
        {"causal", mha(base, 1, Extra::causal, per_head)},
    });

// ---- grouped-query attention and rotary positions, as language models have them ----

golden::Check language(const MultiHeadAttentionOptions& o, int inputs, Extra extra = Extra::none) {
  return mha(o, inputs, extra, true, false);
}
const golden::Cases language_models(
    "multi_head_attention",
    {
        {"grouped", language({.embed_dim = 12, .num_heads = 4, .num_kv_heads = 2}, 1)},
        {"grouped_one_no_bias", language({.embed_dim = 12, .num_heads = 3, .bias = false, .num_kv_heads = 1}, 2)},
        {"rotary_half", language({.embed_dim = 12, .num_heads = 2, .rotary_base = 10000}, 1)},
        {"rotary_interleaved_partial", language({.embed_dim = 12,
                                                 .num_heads = 2,
                                                 .rotary_base = 500,
                                                 .rotary_layout = RotaryLayout::interleaved,
                                                 .rotary_dim = 4},
                                                2)},
        {"grouped_rotary_causal",
         language({.embed_dim = 12, .num_heads = 3, .num_kv_heads = 1, .rotary_base = 10000}, 1, Extra::causal)},
        {"grouped_rotary_decoding", language({.embed_dim = 12,
                                              .num_heads = 2,
                                              .num_kv_heads = 1,
                                              .rotary_base = 10000,
                                              .rotary_layout = RotaryLayout::interleaved},
                                             2, Extra::decoding)},
    });

// ---- scores of the generic attention ----

template <template <class> class Score>
golden::Check scored(bool masked) {
  return golden::check([masked](auto& run) -> void {
    using S = typename std::decay_t<decltype(run)>::Scalar;
    auto attention = golden::make_layer<Attention<S, Score>>(AttentionOptions{.head_dim = 6});
    run.load(attention);
    const auto q = run.template input<4>(0), k = run.template input<4>(1), v = run.template input<4>(2);
    AttentionCall call;
    if (masked) call.mask = AttendMask(run.template tensor<4, bool>("input.3"));
    run.output(attention.forward(q, k, v, call));
    run.finish();
  });
}
const golden::Cases scores("score", {
                                        {"dot", scored<score::Dot>(false)},
                                        {"dot_mask", scored<score::Dot>(true)},
                                        {"scaled_dot", scored<score::ScaledDot>(false)},
                                        {"scaled_dot_mask", scored<score::ScaledDot>(true)},
                                        {"general", scored<score::General>(false)},
                                        {"general_mask", scored<score::General>(true)},
                                        {"additive", scored<score::Additive>(false)},
                                        {"additive_mask", scored<score::Additive>(true)},
                                    });
}  // namespace
}  // namespace multi_head_attention_parity_test
