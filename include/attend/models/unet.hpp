#pragma once
#include <functional>

#include "attend/blocks/downsample.hpp"
#include "attend/functional/concat.hpp"
#include "attend/layers/any_layer.hpp"
#include "attend/layers/conv_transpose2d.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

template <class S>
struct UNetOptions {
  Index in_channels = 1;
  Index classes = 2;                             ///< of each pixel
  std::vector<Index> channels{16, 32, 64, 128};  ///< of the levels, each at half the size of the one before
  /// Makes the attention at the end of each block, from its channels; none if empty. The slots remain for
  /// insert_attention.
  std::function<AnyLayer<S, 4>(Index channels, Rng& rng)> attention = {};
};

/// U-Net (Ronneberger et al. 2015) with batch norms, convolutions that keep the size, and a place for any attention in
/// every block:
///
///   block   attention(relu(bn2(conv2(relu(bn1(conv1 x))))))
///   down.i  block, then a 2x2 max pool;  the last one is the bottom
///   up.i    a transposed 2x2 convolution of stride 2, what down left on that level beside it, block
///   head    1x1 convolution: logits of the classes
///
/// x: (batch, height, width, in_channels)  ->  (batch, height, width, classes).  down.0.{conv1,bn1,conv2,bn2}.*
/// down.0.attention.* ... up.0.upsample.*  up.0.block.* (the deepest first) ... head.*   Throws OptionError for sizes
/// that are not positive, ShapeError unless 2^(levels - 1) divides height and width.
template <class S>
class UNet : public Layer<UNet<S>> {
  struct Block : Layer<Block> {
    Block(Index in, Index out, AnyLayer<S, 4> with, Rng& rng)
        : conv1(detail::block_conv(in, out, 3, 1), rng),
          bn1(detail::block_norm(out)),
          conv2(detail::block_conv(out, out, 3, 1), rng),
          bn2(detail::block_norm(out)),
          attention(std::move(with)) {}
    Variable<S, 4> forward(const Variable<S, 4>& x) const {
      const auto hidden = conv_norm_act(conv1, bn1, Activation::relu, x);
      return attention(conv_norm_act(conv2, bn2, Activation::relu, hidden));
    }
    template <class Self, class Visit>
    static void children(Self& self, Visit&& visit) {
      visit("conv1", self.conv1);
      visit("bn1", self.bn1);
      visit("conv2", self.conv2);
      visit("bn2", self.bn2);
      visit("attention", self.attention);
    }
    Conv2d<S> conv1;
    BatchNorm<S> bn1;
    Conv2d<S> conv2;
    BatchNorm<S> bn2;
    AnyLayer<S, 4> attention;
  };
  struct Up : Layer<Up> {
    Up(Index in, Index out, AnyLayer<S, 4> attention, Rng& rng)
        : upsample(doubling(in, out), rng), block(2 * out, out, std::move(attention), rng) {}
    static ConvTranspose2dOptions doubling(Index in, Index out) {
      ConvTranspose2dOptions o;
      o.in_channels = in, o.out_channels = out, o.kernel_size = o.stride = 2;
      return o;
    }
    Variable<S, 4> forward(const Variable<S, 4>& x, const Variable<S, 4>& beside) const {
      return block(concat<S, 4>({beside, upsample(x)}, 3));
    }
    template <class Self, class Visit>
    static void children(Self& self, Visit&& visit) {
      visit("upsample", self.upsample);
      visit("block", self.block);
    }
    ConvTranspose2d<S> upsample;
    Block block;
  };

 public:
  UNet(const UNetOptions<S>& options, Rng& rng) : head_({checked(options).channels[0], options.classes, true}, rng) {
    const auto made = [&](Index channels) {
      return options.attention ? options.attention(channels, rng) : AnyLayer<S, 4>();
    };
    Index in = options.in_channels;
    for (const Index out : options.channels) {
      auto attention = made(out);
      down_.emplace_back(in, out, std::move(attention), rng);
      in = out;
    }
    for (std::size_t level = options.channels.size() - 1; level-- > 0;) {
      auto attention = made(options.channels[level]);
      up_.emplace_back(options.channels[level + 1], options.channels[level], std::move(attention), rng);
    }
  }

  Variable<S, 4> forward(const Variable<S, 4>& image) const {
    const Index cells = Index(1) << up_.size();
    require(image.dim(1) % cells == 0 && image.dim(2) % cells == 0, "UNet", [&] {
      return message("x has shape ", image.shape(), "; its height and width must be multiples of ", cells, ", with ",
                     down_.size(), " levels");
    });
    MaxPoolOptions pool;
    pool.kernel_size = 2;
    std::vector<Variable<S, 4>> levels{down_[0](image)};
    for (std::size_t i = 1; i < down_.size(); ++i) levels.push_back(down_[i](max_pool2d(levels.back(), pool)));
    auto x = levels.back();
    for (std::size_t i = 0; i < up_.size(); ++i) x = up_[i](x, levels[levels.size() - 2 - i]);
    return head_(x);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("down", self.down_);
    visit("up", self.up_);
    visit("head", self.head_);
  }

 private:
  static const UNetOptions<S>& checked(const UNetOptions<S>& o) {
    bool sizes = o.in_channels > 0 && o.classes > 0 && !o.channels.empty() && o.channels.size() <= 16;
    for (const Index c : o.channels) sizes = sizes && c > 0;
    require<OptionError>(sizes, "UNet", [&] {
      return message("in_channels = ", o.in_channels, ", classes = ", o.classes, " and the channels of each of ",
                     o.channels.size(), " levels must be above 0, levels 1 to 16");
    });
    return o;
  }
  std::vector<Block> down_;
  std::vector<Up> up_;
  PointwiseConv<S> head_;
};

ATTEND_END
