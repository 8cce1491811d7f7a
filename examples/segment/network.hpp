#pragma once
#include <attend/attention/scse.hpp>
#include <attend/models/da_net.hpp>
#include <attend/models/enc_net.hpp>
#include <attend/models/unet.hpp>
#include <attend/train/cross_entropy.hpp>
#include <attend/train/semantic_encoding.hpp>

#include "scenes.hpp"

/// A U-Net for scenes (batch, height, width, 1) -> logits (batch, height, width, classes), of one kind:
///
///   none    the U-Net alone
///   scse    concurrent spatial and channel squeeze-and-excitation at the end of each of its blocks
///   danet   its features under DANet's head: position and channel attention
///   encnet  its features under EncNet's head: context encoding, and a loss on which classes the scene holds
struct SceneNet : attend::Layer<SceneNet> {
  using Scalar = float;
  static constexpr attend::Index features = 32;

  SceneNet(const std::string& kind, attend::Rng& rng) : body(options(kind), rng) {
    if (kind == "danet") danet.emplace(attend::DaNetHeadOptions{features, Scenes::classes, features / 2}, rng);
    if (kind == "encnet") encnet.emplace(attend::EncNetHeadOptions{features, Scenes::classes, features, 16}, rng);
  }
  attend::Variable<float, 4> forward(const attend::Variable<float, 4>& scenes) const {
    const auto map = body(scenes);
    if (danet) return (*danet)(map).logits;
    if (encnet) return (*encnet)(map).logits;
    return map;
  }
  /// What training makes small: the cross-entropy of the pixels, and of the heads' further answers with the weights of
  /// their papers.
  attend::Variable<float, 0> loss(const attend::Variable<float, 4>& scenes,
                                  const attend::Tensor<int, 3>& labels) const {
    const auto map = body(scenes);
    if (danet) {
      const auto seen = (*danet)(map);
      return attend::cross_entropy(seen.logits, labels) + attend::cross_entropy(seen.of_positions, labels) +
             attend::cross_entropy(seen.of_channels, labels);
    }
    if (encnet) {
      const auto seen = (*encnet)(map);
      return attend::cross_entropy(seen.logits, labels) +
             attend::semantic_encoding_loss(seen.class_logits, labels) * 0.2f;
    }
    return attend::cross_entropy(map, labels);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("body", self.body);
    if (self.danet) visit("danet", *self.danet);
    if (self.encnet) visit("encnet", *self.encnet);
  }

  attend::UNet<float> body;
  std::optional<attend::DaNetHead<float>> danet;
  std::optional<attend::EncNetHead<float>> encnet;

 private:
  static attend::UNetOptions<float> options(const std::string& kind) {
    attend::require<attend::OptionError>(
        kind == "none" || kind == "scse" || kind == "danet" || kind == "encnet", "segment",
        [&] { return "the network is \"" + kind + "\"; it must be none, scse, danet or encnet"; });
    attend::UNetOptions<float> o;
    o.channels = {16, 32, 64};
    o.classes = kind == "danet" || kind == "encnet" ? features : Scenes::classes;
    if (kind == "scse")
      o.attention = [](attend::Index channels, attend::Rng& rng) {
        return attend::Scse<float>({.channels = channels}, rng);
      };
    return o;
  }
};
