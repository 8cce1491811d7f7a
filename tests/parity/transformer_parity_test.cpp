#include "attend/blocks/transformer_decoder_layer.hpp"
#include "attend/blocks/transformer_encoder_layer.hpp"
#include "parity/golden.hpp"

namespace transformer_parity_test {
namespace {
using namespace attend;

enum class Masks { none, padding, causal };

golden::Check encoder(TransformerLayerOptions o, Masks masks = Masks::none) {
  o.dropout = 0;
  return golden::check([=](auto& run) -> void {
    auto layer = golden::make_layer<TransformerEncoderLayer<typename std::decay_t<decltype(run)>::Scalar>>(o);
    run.load(layer);
    AttentionCall call;
    if (masks == Masks::padding) call.padding = PaddingMask(run.template tensor<2, bool>("input.1"));
    if (masks == Masks::causal) call.causal = true;
    run.output(layer(run.template input<3>(0), call));
    run.finish();
  });
}
/// With masks: causal for x, padding for the memory.
golden::Check decoder(TransformerLayerOptions o, bool masks = false) {
  o.dropout = 0;
  return golden::check([=](auto& run) -> void {
    auto layer = golden::make_layer<TransformerDecoderLayer<typename std::decay_t<decltype(run)>::Scalar>>(o);
    run.load(layer);
    DecoderCall call;
    if (masks) {
      call.self.causal = true;
      call.memory.padding = PaddingMask(run.template tensor<2, bool>("input.3"));
    }
    const auto x = run.template input<3>(0), memory = run.template input<3>(1);
    run.output(layer(x, memory, call));
    run.finish();
  });
}

std::vector<golden::Named> both_positions() {
  std::vector<golden::Named> cases;
  for (const bool first : {false, true}) {
    const std::string position = first ? "pre" : "post";
    for (const auto& [name, activation] : {std::pair{"relu", Activation::relu}, std::pair{"gelu", Activation::gelu}}) {
      const TransformerLayerOptions o = {
          .embed_dim = 6, .num_heads = 2, .dim_feedforward = 11, .activation = activation, .norm_first = first};
      cases.push_back({"encoder_" + position + "_" + name, encoder(o)});
      cases.push_back({"decoder_" + position + "_" + name, decoder(o)});
    }
    const TransformerLayerOptions o = {.embed_dim = 6, .num_heads = 3, .dim_feedforward = 7, .norm_first = first};
    cases.push_back({"encoder_" + position + "_padding", encoder(o, Masks::padding)});
    cases.push_back({"encoder_" + position + "_causal", encoder(o, Masks::causal)});
    cases.push_back({"decoder_" + position + "_causal_padding", decoder(o, true)});
  }
  return cases;
}
const golden::Cases cases("transformer", both_positions());
const golden::Cases no_bias(
    "transformer",
    {
        {"encoder_no_bias_eps",
         encoder({.embed_dim = 6, .num_heads = 2, .dim_feedforward = 5, .layer_norm_eps = 1e-2, .bias = false})},
    });
}  // namespace
}  // namespace transformer_parity_test
