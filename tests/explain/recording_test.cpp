#include "attend/explain/recording.hpp"

#include <gtest/gtest.h>

#include "attend/autograd/layer.hpp"
#include "attend/explain/heatmap.hpp"
#include "attend/io/png.hpp"
#include "io/temporary_folder.hpp"

namespace recording_test {
namespace {
using namespace attend;

/// Offers its input under a name, as an attention layer offers weights and gates.
template <class S, int R>
struct Offers : Layer<Offers<S, R>> {
  const char* what = "weights";
  explicit Offers(const char* name) : what(name) {}
  Variable<S, R> forward(const Variable<S, R>& x) const {
    offer(*this, what, x);
    return x;
  }
};
template <class S, int R>
struct Net : Layer<Net<S, R>> {
  std::vector<Offers<S, R>> layers;
  Variable<S, R> forward(const Variable<S, R>& x) const {
    Variable<S, R> y = x;
    for (const auto& layer : layers) y = layer(y);
    return y;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("layers", self.layers);
  }
};
template <class S, int R>
Tensor<S, R> counting(const Shape<R>& shape) {
  Tensor<S, R> x(shape);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<S>(i);
  return x;
}
template <class F>
std::string option_error(F f) {
  try {
    f();
  } catch (const OptionError& e) {
    return e.what();
  }
  return "nothing thrown";
}

TEST(RecordingMap, of_weights_is_the_mean_over_heads_and_queries) {
  Net<float, 4> net{{}, {Offers<float, 4>("weights")}};
  Recording recording(net);
  const auto w = counting<float, 4>({2, 3, 5, 6});  // batch, heads, queries, keys
  net(w);
  const auto map = recording.map("layers.0.weights", {.height = 2});
  ASSERT_EQ(shape_of(map), (Shape<3>{2, 2, 3}));
  float sum = 0;
  for (Index h = 0; h < 3; ++h)
    for (Index q = 0; q < 5; ++q) sum += w(1, h, q, 4);
  EXPECT_FLOAT_EQ(map(1, 1, 1), sum / 15);
  const auto one = recording.map("layers.0", {.height = 2, .width = 3, .query = 4, .head = 2});
  EXPECT_EQ(one(1, 0, 2), w(1, 2, 4, 2));
  const auto mean_of_heads = recording.map("layers.0", {.width = 3, .query = 0});
  EXPECT_FLOAT_EQ(mean_of_heads(0, 0, 1), (w(0, 0, 0, 1) + w(0, 1, 0, 1) + w(0, 2, 0, 1)) / 3);
}

TEST(RecordingMap, takes_square_grids_and_leaves_out_prefix_tokens) {
  Net<double, 3> net{{}, {Offers<double, 3>("weights")}};
  Recording recording(net);
  const auto w = counting<double, 3>({1, 2, 10});
  net(w);
  const auto map = recording.map("layers.0", {.prefix_tokens = 1, .query = 1});
  ASSERT_EQ(shape_of(map), (Shape<3>{1, 3, 3}));
  EXPECT_EQ(map(0, 2, 2), 19);
  EXPECT_EQ(map(0, 0, 0), 11);
}

TEST(RecordingMap, of_pooling_weights_and_gates) {
  Net<float, 2> pool{{}, {Offers<float, 2>("weights")}};
  Recording pooled(pool);
  pool(counting<float, 2>({2, 4}));
  EXPECT_EQ(pooled.map("layers.0")(1, 1, 0), 6);
  Net<float, 4> net{{}, {Offers<float, 4>("gate")}};
  Recording recording(net);
  net(counting<float, 4>({2, 2, 3, 1}));
  EXPECT_EQ(shape_of(recording.map("")), (Shape<3>{2, 2, 3}));  // the only one of the whole model
  EXPECT_EQ(recording.map("layers")(1, 1, 2), 11);
  Net<float, 2> channels{{}, {Offers<float, 2>("gate")}};
  Recording gates(channels);
  channels(counting<float, 2>({2, 5}));
  EXPECT_EQ(gates.gate("layers.0")(1, 4), 9);
  EXPECT_EQ(gates.gate("layers.0.gate")(1, 0), 5);
}

TEST(RecordingMap, chooses_the_call_and_lists_what_was_recorded) {
  Net<float, 2> net{{}, {Offers<float, 2>("gate"), Offers<float, 2>("weights")}};
  Recording recording(net);
  net(counting<float, 2>({1, 4}));
  Tensor<float, 2> second(1, 4);
  second.setConstant(7);
  net(second);
  EXPECT_EQ(recording.gate("layers.0", 0)(0, 3), 3);
  EXPECT_EQ(recording.gate("layers.0")(0, 3), 7);
  EXPECT_EQ(recording.map("layers.1", {.call = 0})(0, 1, 1), 3);
  const auto list = recording.recorded();
  ASSERT_EQ(list.size(), 4u);
  EXPECT_EQ(list[1].name, "layers.1.weights");
  EXPECT_EQ(list[3].shape, (std::vector<Index>{1, 4}));
}

struct Stage : Layer<Stage> {
  Offers<float, 4> attention{"weights"};
  Variable<float, 4> forward(const Variable<float, 4>& x) const { return attention(x); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("attention", self.attention);
  }
};
struct ImageNet : Layer<ImageNet> {
  Stage layer3;
  Variable<float, 4> forward(const Variable<float, 4>& image) const {
    layer3(image.reshape(Shape<4>{1, 1, image.dim(1), image.dim(2)}));  // as if the pixels were weights
    return image;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("layer3", self.layer3);
  }
};

TEST(RecordingMap, goes_from_a_network_to_a_picture_in_four_lines) {
  const TemporaryFolder folder;
  const ImageNet net;
  const auto image = counting<float, 4>({1, 6, 9, 1});
  Recording recording(net);
  const auto logits = net(image);
  write_png(folder / "heat.png", overlay(image, recording.map("layer3.attention")));
  EXPECT_EQ(shape_of(read_png(folder / "heat.png")), (Shape<3>{6, 9, 3}));
}

TEST(BadInput, recording_says_what_there_is) {
  Net<float, 4> net{{}, {Offers<float, 4>("weights"), Offers<float, 4>("weights")}};
  Recording recording(net);
  net(counting<float, 4>({1, 2, 3, 5}));
  struct Row {
    const char* name;
    MapOptions options;
    const char* text;
  };
  const Row rows[] = {
      {"layers.7", {}, "recorded:\n  layers.0.weights (1, 2, 3, 5)"},
      {"layers", {}, "could be any of:\n  layers.0.weights\n  layers.1.weights"},
      {"layers.0", {}, "its 5 keys without 0 prefix tokens are no grid of 2 x 2"},
      {"layers.0", {.height = 3}, "no grid of 3 x 1"},
      {"layers.0", {.height = 5, .width = 1, .prefix_tokens = -1}, "prefix tokens are no grid"},
      {"layers.0", {.prefix_tokens = 9}, "no grid"},
      {"layers.0", {.prefix_tokens = 1, .query = 3}, "(1, 2, 3, 5); it has no head -1 or no query 3"},
      {"layers.0", {.prefix_tokens = 1, .head = 2}, "no head 2"},
      {"layers.0", {.prefix_tokens = 1, .call = 1}, "call 1 of \"layers.0\" was asked for; 1 were recorded"},
      {"layers.0", {.height = Index(1) << 62, .width = 4}, "no grid"},
  };
  for (const Row& row : rows) {
    const std::string text = option_error([&] { recording.map(row.name, row.options); });
    EXPECT_NE(text.find(row.text), std::string::npos) << text;
  }
  EXPECT_NE(option_error([&] { recording.gate("layers.0"); }).find("nothing of this kind"), std::string::npos);
}
}  // namespace
}  // namespace recording_test
