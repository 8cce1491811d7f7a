#include <gtest/gtest.h>

#include "attend/attention/spatial/bottleneck_attention.hpp"
#include "attend/attention/spatial/non_local.hpp"
#include "attention/spatial_models.hpp"

namespace spatial_attention_test {
namespace {
using namespace attend;
using attend::testing::check_gradients;
using attend::testing::random_tensor;

template <class Layer>
void expect_gradients(Layer layer, const Shape<4>& shape, Mode mode = Mode::training) {
  randomize<double>(layer, 5);
  attend::testing::GradientCheckOptions options;
  options.mode = mode;
  const auto report = check_gradients(
      options, layer, [&](const auto& x) { return layer(x); }, random_tensor<double, 4>(shape, 7));
  EXPECT_TRUE(report.ok()) << report.text();
}
TEST(NonLocal, Gradients) {
  Rng rng(3);
  expect_gradients(NonLocal<double>({.channels = 5, .rd_channels = 3}, rng), {2, 3, 2, 5});
  expect_gradients(NonLocal<double>({.channels = 5, .rd_channels = 3, .scale = false}, rng), {2, 3, 2, 5});
  expect_gradients(NonLocal<double>({.channels = 5}, rng), {2, 1, 4, 5});
  expect_gradients(NonLocal<double>({.channels = 5, .rd_channels = 3}, rng), {2, 3, 2, 5}, Mode::evaluation);
}

TEST(BottleneckAttention, Gradients) {
  Rng rng(3);
  const BottleneckAttentionOptions cases[] = {
      {.channels = 4, .height = 3, .width = 2, .num_heads = 2},
      {.channels = 4, .out_channels = 6, .height = 3, .width = 2, .num_heads = 2, .dim_head = 3},
      {.channels = 4, .height = 2, .width = 5, .num_heads = 4, .qkv_bias = true},
      {.channels = 4, .height = 2, .width = 3, .num_heads = 2, .scale_pos_embed = true},
      {.channels = 4, .height = 4, .width = 3, .stride = 2, .num_heads = 1, .dim_head = 5},
      {.channels = 3, .height = 1, .width = 1, .num_heads = 3, .dim_head = 1},
      {.channels = 8, .height = 1, .width = 4, .num_heads = 2, .qk_ratio = 2}};
  for (const auto& o : cases) expect_gradients(BottleneckAttention<double>(o, rng), {2, o.height, o.width, o.channels});
}

TEST(RelativeLogits, Gradients) {
  for (const double scale : {1.0, 0.5}) {
    const auto report = attend::testing::check_function_gradients(
        [&](const auto& q, const auto& h, const auto& w) { return relative_logits(q, h, w, scale); },
        random_tensor<double, 4>({2, 6, 3, 4}, 1), random_tensor<double, 2>({5, 4}, 2),
        random_tensor<double, 2>({3, 4}, 3));
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

TEST(Trap, T35_BottleneckTablesAreKeyMinusQuery) {
  Tensor<double, 4> q(1, 6, 1, 1);
  q.setConstant(1);
  Tensor<double, 2> h(3, 1), w(5, 1);  // a grid of 2 rows and 3 columns
  for (Index i = 0; i < 3; ++i) h(i, 0) = double(10 * i);
  for (Index i = 0; i < 5; ++i) w(i, 0) = double(i);
  const auto logits = relative_logits(Variable<double, 4>(q), Variable<double, 2>(h), Variable<double, 2>(w)).tensor();
  EXPECT_EQ(logits(0, 0, 0, 0), 10 + 2);
  EXPECT_EQ(logits(0, 0, 0, 5), 20 + 4);  // the key one row below, two columns to the right
  EXPECT_EQ(logits(0, 0, 5, 0), 0 + 0);
  EXPECT_EQ(logits(0, 0, 2, 4), 20 + 1);
}

// One position whose query, key and value are written into single channels: the layout is [q | k | v], heads inside
// each.
TEST(Trap, T36_BottleneckChannelsAreQueryKeyValueWithHeadsInside) {
  Rng rng(3);
  BottleneckAttention<double> layer({.channels = 4, .height = 1, .width = 1, .num_heads = 2, .dim_head = 1}, rng);
  Tensor<double, 4> x(1, 1, 1, 4);
  x.setValues({{{{1, 2, 3, 4}}}});
  for (const auto& p : parameters<double>(layer))
    if (p.name == "qkv.weight") {
      auto weight = p->edit_flat();
      weight.setZero();
      ASSERT_EQ(weight.size(), 8 * 4);
      for (Index v = 0; v < 4; ++v) weight((4 + v) * 4 + v) = double(v + 1);  // rows 4 ... 7 are the values
    }
  const auto y = layer(x);  // one key: its value
  for (Index c = 0; c < 4; ++c) EXPECT_EQ(y(0, 0, 0, c), double((c + 1) * (c + 1)));
}

// The scale is 1 / sqrt(channels), although query and key have rd channels.
TEST(Trap, T8_NonLocalScalesByChannelsNotByReducedOnes) {
  Rng rng(3);
  NonLocal<double> layer({.channels = 16, .rd_channels = 1}, rng);
  randomize<double>(layer, 8);
  const auto x = random_tensor<double, 4>({1, 1, 2, 16}, 2);
  const auto weight = [&](const std::string& name) {
    for (const auto& p : parameters<double>(layer))
      if (p.name == name) return p.data;
    throw std::runtime_error(name);
  };
  double score[2] = {};
  const auto map = [&](const std::string& name, Index position) {
    double sum = *weight(name + ".bias")->data();
    for (Index c = 0; c < 16; ++c) sum += weight(name + ".weight")->data()[c] * x(0, 0, position, c);
    return sum;
  };
  for (Index j = 0; j < 2; ++j) score[j] = map("t", 0) * map("p", j) / 4;  // sqrt(16)
  const Recording recording(layer);
  (void)layer(x);
  const auto weights = recording.all<4, double>("weights");
  ASSERT_EQ(weights.size(), 1u);
  EXPECT_NEAR(weights[0].data()[0], 1 / (1 + std::exp(score[1] - score[0])), 1e-12);
}

TEST(NonLocal, StartsAsTheIdentity) {
  Rng rng(3);
  const NonLocal<float> layer({.channels = 16}, rng);
  const auto x = random_tensor<float, 4>({2, 3, 4, 16}, 1), y = layer(x);
  for (Index i = 0; i < x.size(); ++i) EXPECT_EQ(y.data()[i], x.data()[i]);
}

// Without positions, permuting the positions of the input permutes those of the output.
TEST(NonLocal, IsPermutationEquivariantOverPositions) {
  Rng rng(3);
  NonLocal<double> layer({.channels = 5, .rd_channels = 3}, rng);
  randomize<double>(layer, 5);
  const auto x = random_tensor<double, 4>({2, 3, 4, 5}, 1);
  const auto swap = [](const Tensor<double, 4>& t) {  // position p goes to (7 p) mod 12, another row and column
    Tensor<double, 4> moved(shape_of(t));
    for (Index b = 0; b < 2; ++b)
      for (Index p = 0; p < 12; ++p)
        std::copy_n(t.data() + (b * 12 + p) * 5, 5, moved.data() + (b * 12 + 7 * p % 12) * 5);
    return moved;
  };
  const auto a = swap(layer(x)), b = layer(swap(x));
  for (Index i = 0; i < a.size(); ++i) EXPECT_NEAR(a.data()[i], b.data()[i], 1e-13);  // sums in another order
}

TEST(SpatialAttention, RowsOfOfferedWeightsSumToOne) {
  Rng rng(3);
  NonLocal<float> local({.channels = 16}, rng);
  randomize<float>(local, 4);
  const auto x = random_tensor<float, 4>({2, 3, 4, 16}, 1);
  EXPECT_EQ(offered_rows<4>(local, "weights", x).shape(), (Shape<4>{2, 1, 12, 12}));
  const BottleneckAttention<float> bottleneck({.channels = 16, .height = 3, .width = 4}, rng);
  EXPECT_EQ(offered_rows<4>(bottleneck, "weights", x).shape(), (Shape<4>{2, 4, 12, 12}));
}

TEST(SpatialAttention, NamesAndShapesAreTimms) {
  Rng rng(3);
  EXPECT_EQ(
      names(NonLocal<float>({.channels = 64}, rng)),
      "t.weight(8,64,1,1,) t.bias(8,) p.weight(8,64,1,1,) p.bias(8,) g.weight(8,64,1,1,) g.bias(8,) "
      "z.weight(64,8,1,1,) z.bias(64,) norm.weight(64,) norm.bias(64,) norm.running_mean(64,) norm.running_var(64,) "
      "norm.num_batches_tracked() ");
  EXPECT_EQ(names(BottleneckAttention<float>({.channels = 64, .height = 14, .width = 14}, rng)),
            "qkv.weight(192,64,1,1,) pos_embed.height_rel(27,16,) pos_embed.width_rel(27,16,) ");
}

TEST(BottleneckAttention, StrideTwoIsAnAveragePoolOfTheOutput) {
  Rng rng(3);
  const BottleneckAttentionOptions options{.channels = 8, .height = 4, .width = 6, .num_heads = 2};
  auto halved = options;
  halved.stride = 2;
  Rng same(3);
  const BottleneckAttention<double> whole(options, rng), half(halved, same);
  const auto x = random_tensor<double, 4>({2, 4, 6, 8}, 1);
  const auto y = whole(x), z = half(x);
  ASSERT_EQ(shape_of(z), (Shape<4>{2, 2, 3, 8}));
  EXPECT_NEAR(z(1, 1, 2, 3), (y(1, 2, 4, 3) + y(1, 2, 5, 3) + y(1, 3, 4, 3) + y(1, 3, 5, 3)) / 4, 1e-15);
}

TEST(BadInput, SpatialAttention) {
  Rng rng(3);
  const NonLocal<float> local({.channels = 5}, rng);
  const BottleneckAttention<float> bottleneck({.channels = 8, .height = 3, .width = 4}, rng);
  expect_error<ShapeError>([&] { local(Tensor<float, 4>(2, 3, 4, 6)); }, {"(2, 3, 4, 6)", "channels = 5"});
  expect_error<ShapeError>([&] { bottleneck(Tensor<float, 4>(2, 4, 3, 8)); }, {"(2, 4, 3, 8)", "(2, 3, 4, 8)"});
  expect_error<ShapeError>([&] { bottleneck(Tensor<float, 4>(2, 3, 4, 9)); }, {"(2, 3, 4, 9)", "(2, 3, 4, 8)"});
  expect_error<OptionError>([&] { NonLocal<float>({.channels = -5}, rng); }, {"channels = -5"});
  expect_error<OptionError>([&] { NonLocal<float>({.channels = 5, .rd_channels = -1}, rng); }, {"rd_channels = -1"});
  expect_error<OptionError>([&] { BottleneckAttention<float>({.channels = 8}, rng); }, {"height = 0"});
  expect_error<OptionError>(
      [&] { BottleneckAttention<float>({.channels = 8, .height = 2, .width = 2, .num_heads = 3}, rng); },
      {"num_heads = 3", "out_channels = 8"});
  expect_error<OptionError>(
      [&] { BottleneckAttention<float>({.channels = 8, .height = 2, .width = 2, .stride = 3}, rng); }, {"stride = 3"});
  expect_error<OptionError>(
      [&] { BottleneckAttention<float>({.channels = 8, .height = 2, .width = 2, .dim_head = -1}, rng); },
      {"dim_head = -1"});
  const Variable<float, 4> query(Tensor<float, 4>(1, 6, 2, 4));
  const Variable<float, 2> even(Tensor<float, 2>(4, 4)), three(Tensor<float, 2>(3, 4)), narrow(Tensor<float, 2>(5, 3));
  expect_error<ShapeError>([&] { relative_logits(query, even, three); }, {"(1, 6, 2, 4)", "(4, 4)"});
  expect_error<ShapeError>([&] { relative_logits(query, three, narrow); }, {"(1, 6, 2, 4)", "(5, 3)"});
}

}  // namespace
}  // namespace spatial_attention_test
