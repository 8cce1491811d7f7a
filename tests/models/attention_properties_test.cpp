// What attention is said to do, shown on made scenes with small networks: figures are printed, and asserted only where
// they hold with a margin for every seed.
#include <gtest/gtest.h>

#include <cstdio>

#include "attend/attention/attention_pool.hpp"
#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/explain/recording.hpp"
#include "attend/layers/conv2d.hpp"
#include "attend/layers/layer_list.hpp"
#include "attend/train/adam.hpp"
#include "attend/train/cross_entropy.hpp"

namespace attention_properties_test {
namespace {
using namespace attend;

struct Scenes {
  Tensor<float, 4> images;
  Tensor<int, 1> labels;
};
/// Trains on fresh scenes; `draw(rng)` makes a batch of them.
template <class Model, class Draw>
void train(Model& model, const Draw& draw, int steps, double learning_rate, Rng& rng) {
  AdamW<float> optimizer(model, {.learning_rate = learning_rate});
  for (int i = 0; i < steps; ++i) {
    const Scenes batch = draw(rng);
    Tape<float> tape(Mode::training, rng);
    const auto gradients = tape.backward(cross_entropy(model(tape.input(batch.images)), batch.labels));
    optimizer.step(model, gradients);
  }
}
template <class Model>
double accuracy(const Model& model, const Scenes& scenes) {
  const Tensor<float, 2> logits = model(scenes.images);
  int right = 0;
  for (Index i = 0; i < logits.dimension(0); ++i) {
    const float* row = logits.data() + i * logits.dimension(1);
    right += std::max_element(row, row + logits.dimension(1)) - row == scenes.labels(i);
  }
  return double(right) / double(logits.dimension(0));
}

// ---- channels ----

constexpr Index signals = 3, channels = 8;  // the first three carry a signal, the others nothing but noise

/// A bright quadrant, which is the label, in the signal channels; in the others noise of the same brightness.
Scenes quadrants(Index count, Rng& rng) {
  Scenes s{Tensor<float, 4>(count, 6, 6, channels), Tensor<int, 1>(count)};
  for (Index b = 0; b < count; ++b) {
    const Index label = rng.below(4);
    s.labels(b) = static_cast<int>(label);
    for (Index y = 0; y < 6; ++y)
      for (Index x = 0; x < 6; ++x) {
        const bool bright = (y / 3) * 2 + x / 3 == label;
        for (Index c = 0; c < channels; ++c)
          s.images(b, y, x, c) =
              static_cast<float>(c < signals ? (bright ? 1.0 : 0.0) + 0.3 * rng.normal() : 0.25 + rng.normal());
      }
  }
  return s;
}
/// Squeeze-and-excitation, then one filter for all channels alike: only the gates can prefer one to another.
struct Gated : Layer<Gated> {
  explicit Gated(Rng& rng) : gate({.channels = channels, .rd_channels = 4}, rng), head({36, 4}, rng) {}
  Variable<float, 2> forward(const Variable<float, 4>& x) const {
    return head(sum(gate(x), {3}).reshape(Shape<2>{x.dim(0), 36}));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("gate", self.gate);
    visit("head", self.head);
  }
  SqueezeExcite<float> gate;
  Dense<float> head;
};

TEST(Properties, ChannelsThatCarryOnlyNoiseGetTheLowestGates) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    Rng rng(seed);
    Gated model(rng);
    train(
        model, [](Rng& r) { return quadrants(64, r); }, 300, 0.01, rng);
    const Scenes test = quadrants(256, rng);
    Recording recording(model);
    const double right = accuracy(model, test);
    const Tensor<float, 2> gates = recording.gate("gate");
    std::vector<double> mean(channels);
    for (Index b = 0; b < 256; ++b)
      for (Index c = 0; c < channels; ++c) mean[std::size_t(c)] += gates(b, c) / 256;
    const double lowest_signal = *std::min_element(mean.begin(), mean.begin() + signals),
                 highest_noise = *std::max_element(mean.begin() + signals, mean.end());
    std::printf("seed %d: accuracy %.3f, gates of signals at least %.3f, of noise at most %.3f\n", int(seed), right,
                lowest_signal, highest_noise);
    EXPECT_GT(lowest_signal, highest_noise + 0.3) << "seed " << seed;
    EXPECT_GT(right, 0.9) << "seed " << seed;
  }
}

// ---- positions ----

constexpr Index side = 24, glyph = 7;
/// Where the glyph of a scene is drawn.
struct Pose {
  double row = 0, column = 0;  // of its centre, from the image's
  double scale = 1, angle = 0;
};
/// Four glyphs of strokes two wide: is (u, v), in units of the glyph with its centre at 0, on a stroke?
bool on_stroke(int label, double u, double v) {
  const double half = glyph / 2.0;
  if (std::abs(u) > half || std::abs(v) > half) return false;
  const double wide = 1.1;
  switch (label) {
    case 0:
      return std::abs(u) < wide || std::abs(v) < wide;  // a cross
    case 1:
      return std::abs(u - v) < 1.5 * wide || std::abs(u + v) < 1.5 * wide;  // a saltire
    case 2:
      return half - std::abs(u) < 1.4 * wide || half - std::abs(v) < 1.4 * wide;  // a square
    default:
      return half - std::abs(v) < 1.4 * wide || std::abs(u) < wide;  // an H
  }
}
/// A glyph among noise and short strokes that belong to no class.
Scenes glyphs(Index count, Rng& rng, const std::function<Pose(Rng&)>& place, Tensor<bool, 3>* object = nullptr) {
  Scenes s{Tensor<float, 4>(count, side, side, 1), Tensor<int, 1>(count)};
  if (object) object->resize(count, side, side);
  for (Index b = 0; b < count; ++b) {
    const int label = static_cast<int>(rng.below(4));
    s.labels(b) = label;
    const Pose pose = place(rng);
    float* image = s.images.data() + b * side * side;
    for (Index i = 0; i < side * side; ++i) image[i] = static_cast<float>(0.15 * rng.normal());
    for (int stroke = 0; stroke < 4; ++stroke) {
      const bool upright = rng.below(2) == 0;
      const Index from = rng.below(side - 3), at = rng.below(side);
      for (Index k = from; k < from + 3; ++k) image[upright ? k * side + at : at * side + k] = 0.8f;
    }
    const double c = std::cos(pose.angle), n = std::sin(pose.angle), middle = (side - 1) / 2.0;
    for (Index y = 0; y < side; ++y)
      for (Index x = 0; x < side; ++x) {
        const double dy = (double(y) - middle - pose.row) / pose.scale,
                     dx = (double(x) - middle - pose.column) / pose.scale;
        const double u = c * dx - n * dy, v = n * dx + c * dy;
        if (on_stroke(label, u, v)) image[y * side + x] = 1;
        if (object) (*object)(b, y, x) = std::abs(u) <= glyph / 2.0 + 1 && std::abs(v) <= glyph / 2.0 + 1;
      }
  }
  return s;
}
/// Two convolutions, then either a learned query that pools the positions, or all of them to the classifier.
struct Looking : Layer<Looking> {
  Looking(bool attends, Rng& rng)
      : conv1({.in_channels = 1, .out_channels = 12, .kernel_size = 5, .stride = 2, .padding = 2}, rng),
        conv2({.in_channels = 12, .out_channels = 24, .kernel_size = 5, .padding = 2}, rng),
        head({attends ? 24 : 24 * 12 * 12, 4}, rng) {
    if (attends) pool.emplace(AttentionPoolOptions{.channels = 24, .num_heads = 1, .mlp_ratio = 0}, rng);
  }
  Variable<float, 2> forward(const Variable<float, 4>& x) const {
    const auto map = relu(conv2(relu(conv1(x))));
    return head(pool ? (*pool)(map) : map.reshape(Shape<2>{x.dim(0), 24 * 12 * 12}));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv1", self.conv1);
    visit("conv2", self.conv2);
    if (self.pool) visit("pool", *self.pool);
    visit("head", self.head);
  }
  Conv2d<float> conv1, conv2;
  std::optional<AttentionPool<float>> pool;
  Dense<float> head;
};
/// Near the middle, as in training; and what else may happen.
Pose near(Rng& r) { return {4 * r.uniform() - 2, 4 * r.uniform() - 2, 1, 0}; }
Pose shifted(Rng& r) {
  const double angle = 6.283185 * r.uniform();
  return {6 * std::sin(angle), 6 * std::cos(angle), 1, 0};
}
Pose scaled(Rng& r) { return {4 * r.uniform() - 2, 4 * r.uniform() - 2, r.below(2) == 0 ? 0.75 : 1.35, 0}; }
Pose turned(Rng& r) { return {4 * r.uniform() - 2, 4 * r.uniform() - 2, 1, r.below(2) == 0 ? 0.35 : -0.35}; }

TEST(Properties, SpatialAttentionLooksAtTheObjectAndBearsChangesOfItsPose) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    double falls[2][3];
    for (const bool attends : {false, true}) {
      Rng rng(seed);
      Looking model(attends, rng);
      train(
          model, [](Rng& r) { return glyphs(32, r, near); }, 250, 0.003, rng);
      Tensor<bool, 3> object;
      const Scenes test = glyphs(256, rng, near, &object);
      double right;
      double mass = 0, area = 0;
      {
        Recording recording(model);
        right = accuracy(model, test);
        if (attends) {
          const auto weights = recording.all<4>("pool.weights").at(0);  // (batch, 1, 1, 144)
          for (Index b = 0; b < 256; ++b)
            for (Index i = 0; i < 144; ++i)
              if (object(b, i / 12 * 2, i % 12 * 2)) mass += weights.data()[b * 144 + i] / 256, area += 1.0 / 144 / 256;
        }
      }
      const double after[] = {accuracy(model, glyphs(256, rng, shifted)), accuracy(model, glyphs(256, rng, scaled)),
                              accuracy(model, glyphs(256, rng, turned))};
      for (int k = 0; k < 3; ++k) falls[attends ? 1 : 0][k] = right - after[k];
      std::printf("seed %d, %s: accuracy %.3f, shifted %.3f, scaled %.3f, turned %.3f", int(seed),
                  attends ? "attention" : "flattened", right, after[0], after[1], after[2]);
      if (attends) std::printf("; %.3f of the weights on the object, %.3f of the area", mass, area);
      std::printf("\n");
      EXPECT_GT(right, 0.8) << "seed " << seed;
      if (attends) {
        EXPECT_GT(mass, 2 * area) << "seed " << seed;
      }
    }
    EXPECT_LT(falls[1][0], falls[0][0] - 0.1) << "shifted, seed " << seed;
  }
}

}  // namespace
}  // namespace attention_properties_test
