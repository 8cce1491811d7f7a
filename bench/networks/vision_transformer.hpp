#pragma once
#include <attend/blocks/transformer_encoder_layer.hpp>
#include <attend/functional/concat.hpp>
#include <attend/functional/expand.hpp>
#include <attend/functional/shape.hpp>
#include <attend/layers/conv2d.hpp>
#include <attend/layers/learned_position.hpp>

namespace bench {
using namespace attend;

/// ViT-S/16 for images of 224 x 224 (Dosovitskiy et al. 2021; timm's vit_small_patch16_224) of the library's blocks:
/// patches, a class token and positions, 12 pre-norm encoder layers, norm, classifier on the class token.
/// images (batch, 224, 224, 3)  ->  (batch, 1000)
template <class S>
struct VisionTransformer : Layer<VisionTransformer<S>> {
  static constexpr Index patch = 16, side = 224 / patch, tokens = side * side + 1, embed = 384, depth = 12, heads = 6;

  explicit VisionTransformer(Rng& rng)
      : patch_embed({.in_channels = 3, .out_channels = embed, .kernel_size = patch, .stride = patch}, rng),
        cls_token({1, 1, embed}, rng, 0.02),
        pos_embed({.max_length = tokens, .embed_dim = embed}, rng),
        norm({.normalized_shape = embed, .eps = 1e-6}),
        head({embed, 1000}, rng) {
    for (Index i = 0; i < depth; ++i)
      blocks.push_back(TransformerEncoderLayer<S>({.embed_dim = embed,
                                                   .num_heads = heads,
                                                   .dim_feedforward = 4 * embed,
                                                   .dropout = 0,
                                                   .activation = Activation::gelu,
                                                   .layer_norm_eps = 1e-6,
                                                   .norm_first = true},
                                                  rng));
  }
  Variable<S, 2> forward(const Variable<S, 4>& images) const {
    const Index batch = images.dim(0);
    const auto grid = patch_embed(images).reshape(Shape<3>{batch, tokens - 1, embed});
    auto x = pos_embed(concat({expand(cls_token.on(grid), Shape<3>{batch, 1, embed}), grid}, 1));
    for (const auto& block : blocks) x = block(x);
    return head(select(norm(x), 0, 1));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("patch_embed", self.patch_embed);
    visit("cls_token", self.cls_token);
    visit("pos_embed", self.pos_embed);
    visit("blocks", self.blocks);
    visit("norm", self.norm);
    visit("head", self.head);
  }
  /// Of one image: the maps of 14 x 14, then 12 layers of projections, attention and feed-forward, two for each product.
  static double operations() {
    const double n = tokens, e = embed;
    return 2 * (double(side * side) * 3 * patch * patch * e + depth * (12 * n * e * e + 2 * n * n * e) + e * 1000);
  }

  Conv2d<S> patch_embed;
  Parameter<S, 3> cls_token;
  PositionEmbedding<S> pos_embed;
  std::vector<TransformerEncoderLayer<S>> blocks;
  LayerNorm<S> norm;
  Dense<S> head;
};

}  // namespace bench
