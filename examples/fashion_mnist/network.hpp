#pragma once
#include <attend/attention/channel/squeeze_excite.hpp>
#include <attend/attention/multi_head_attention.hpp>
#include <attend/attention/spatial/non_local.hpp>
#include <attend/blocks/basic_block.hpp>
#include <attend/functional/expand.hpp>
#include <attend/functional/global_pooling.hpp>
#include <attend/layers/dense.hpp>
#include <attend/layers/dropout.hpp>
#include <attend/layers/layer_norm.hpp>
#include <attend/layers/learned_position.hpp>
#include <attend/layers/max_pool.hpp>

/// Which attentions the network has; the rest of it stays the same.
struct AttentionParts {
  bool channel = true;  ///< squeeze-and-excitation in every residual block
  bool spatial = true;  ///< non-local attention of the grid on itself, by query, key and value maps
  bool self = true;     ///< multi-head attention over the tokens, and a learned query that pools them; else their mean
};

struct NetworkOptions {
  attend::Index stem = 32;                       ///< channels of the first convolution
  std::vector<attend::Index> widths = {32, 64};  ///< of each stage; every stage after the first halves the grid
  std::vector<attend::Index> blocks = {1, 1};    ///< residual blocks of each stage
  attend::Index num_heads = 4;
  attend::Index grid = 7;  ///< side of the last stage's grid: image side / 2 / 2^(stages - 1)
  double dropout = 0.1;    ///< before the classifier
  double drop_path = 0;    ///< of the residual branches
  AttentionParts attention;
};

/// x + attention(norm(x + position)): tokens (batch, length, channels) look at each other.
struct TokenAttention : attend::Layer<TokenAttention> {
  TokenAttention(attend::Index tokens, attend::Index channels, attend::Index heads, attend::Rng& rng)
      : position({.max_length = tokens, .embed_dim = channels}, rng),
        norm({.normalized_shape = {channels}}),
        attention({.embed_dim = channels, .num_heads = heads}, rng) {}
  attend::Variable<float, 3> forward(const attend::Variable<float, 3>& x) const {
    return x + attention(norm(position(x)));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("position", self.position);
    visit("norm", self.norm);
    visit("attention", self.attention);
  }
  attend::LearnedPosition<float> position;
  attend::LayerNorm<float> norm;
  attend::MultiHeadAttention<float> attention;
};

/// One learned query reads all tokens: (batch, length, channels) -> (batch, channels). Its weights say where it looked.
struct QueryPool : attend::Layer<QueryPool> {
  QueryPool(attend::Index channels, attend::Index heads, attend::Rng& rng)
      : norm({.normalized_shape = {channels}}),
        query(attend::Shape<3>{1, 1, channels}, rng, 1 / std::sqrt(double(channels))),
        attention({.embed_dim = channels, .num_heads = heads}, rng) {}
  attend::Variable<float, 2> forward(const attend::Variable<float, 3>& x) const {
    const auto tokens = norm(x);
    const auto read = attention(attend::expand(query.on(tokens), attend::Shape<3>{x.dim(0), 1, x.dim(2)}), tokens);
    return read.reshape(attend::Shape<2>{x.dim(0), x.dim(2)});
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("norm", self.norm);
    visit("query", self.query);
    visit("attention", self.attention);
  }
  attend::LayerNorm<float> norm;
  attend::Parameter<float, 3> query;
  attend::MultiHeadAttention<float> attention;
};

/// An attention-CNN: images (batch, side, side, 1) -> logits (batch, classes).
///
///   stem    3x3 convolution, batch norm, ReLU, 2x2 max pool
///   stages  residual blocks, channel attention after the last norm of each
///   spatial non-local attention on the last grid
///   tokens  the grid as tokens: multi-head self-attention, then a learned query pools them
///   head    dropout, dense
struct Network : attend::Layer<Network> {
  using Scalar = float;
  Network(const NetworkOptions& o, attend::Index classes, attend::Rng& rng)
      : options(o),
        conv({.in_channels = 1, .out_channels = o.stem, .kernel_size = 3, .padding = 1, .bias = false}, rng),
        bn({.channels = o.stem}),
        dropout(o.dropout),
        head({.in_features = o.widths.back(), .out_features = classes}, rng) {
    attend::Index channels = o.stem;
    for (std::size_t stage = 0; stage < o.widths.size(); ++stage)
      for (attend::Index b = 0; b < o.blocks[stage]; ++b) {
        const attend::Index width = o.widths[stage];
        attend::AnyLayer<float, 4> gate;
        if (o.attention.channel) gate = attend::SqueezeExcite<float>({.channels = width, .rd_ratio = 1.0 / 8}, rng);
        blocks.push_back(attend::BasicBlock<float>({.in_channels = channels,
                                                    .out_channels = width,
                                                    .stride = stage > 0 && b == 0 ? 2 : 1,
                                                    .drop_path = o.drop_path},
                                                   gate, rng));
        channels = width;
      }
    if (o.attention.spatial) spatial.emplace(attend::NonLocalOptions{.channels = channels, .rd_ratio = 0.5}, rng);
    if (o.attention.self) {
      tokens.emplace(o.grid * o.grid, channels, o.num_heads, rng);
      pool.emplace(channels, o.num_heads, rng);
    }
  }

  attend::Variable<float, 2> forward(const attend::Variable<float, 4>& images) const {
    auto x = attend::max_pool2d(attend::relu(bn(conv(images))), {.kernel_size = 2});
    for (const auto& block : blocks) x = block(x);
    if (spatial) x = (*spatial)(x);
    if (!pool) return head(dropout(attend::global_average_pool(x)));
    const auto grid = x.reshape(attend::Shape<3>{x.dim(0), x.dim(1) * x.dim(2), x.dim(3)});
    return head(dropout((*pool)((*tokens)(grid))));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv", self.conv);
    visit("bn", self.bn);
    visit("blocks", self.blocks);
    if (self.spatial) visit("spatial", *self.spatial);
    if (self.tokens) visit("tokens", *self.tokens);
    if (self.pool) visit("pool", *self.pool);
    visit("head", self.head);
  }

  NetworkOptions options;
  attend::Conv2d<float> conv;
  attend::BatchNorm<float> bn;
  std::vector<attend::BasicBlock<float>> blocks;
  std::optional<attend::NonLocal<float>> spatial;
  std::optional<TokenAttention> tokens;
  std::optional<QueryPool> pool;
  attend::Dropout dropout;
  attend::Dense<float> head;
};
