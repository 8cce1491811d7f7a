#include "attend/attention/class_attention.hpp"
#include "attend/attention/grid_attention_pool.hpp"
#include "attend/attention/lse_pool.hpp"
#include "attend/attention/sim_pool.hpp"
#include "attention/spatial_models.hpp"

namespace feature_pooling_test {
namespace {
using namespace attend;
using attend::testing::random_tensor;

TEST(FeaturePooling, NamesAndShapesAreTimms) {
  Rng rng(3);
  GridAttentionPoolOptions clip{.channels = 64, .out_channels = 32, .num_heads = 4, .height = 14, .width = 14};
  EXPECT_EQ(names(GridAttentionPool<float>(clip, rng)),
            "pos_embed(197,64,) qkv.weight(192,64,) qkv.bias(192,) proj.weight(32,64,) proj.bias(32,) ");
  clip.positions = GridPositions::rotary;
  EXPECT_EQ(names(GridAttentionPool<float>(clip, rng)),
            "qkv.weight(192,64,) qkv.bias(192,) proj.weight(32,64,) proj.bias(32,) ");
  EXPECT_EQ(names(SimPool<float>({.channels = 64}, rng)),
            "norm.weight(64,) norm.bias(64,) q.weight(64,64,) k.weight(64,64,) ");
  EXPECT_EQ(names(LsePool<float>()), "r() ");
  EXPECT_EQ(names(ClassAttention<float>({.channels = 64, .num_heads = 4}, rng)),
            "q.weight(64,64,) k.weight(64,64,) v.weight(64,64,) proj.weight(64,64,) proj.bias(64,) ");
}
TEST(FeaturePooling, RowsOfOfferedWeightsSumToOne) {
  Rng rng(3);
  const auto x = random_tensor<float, 4>({2, 3, 4, 8}, 1);
  const GridAttentionPool<float> clip({.channels = 8, .num_heads = 2, .height = 3, .width = 4}, rng);
  EXPECT_EQ(offered_rows<4>(clip, "weights", x).shape(), (Shape<4>{2, 2, 1, 13}));
  const SimPool<float> sim({.channels = 8, .num_heads = 4}, rng);
  EXPECT_EQ(offered_rows<4>(sim, "weights", x).shape(), (Shape<4>{2, 4, 1, 12}));
  const ClassAttention<float> token({.channels = 8, .num_heads = 2}, rng);
  EXPECT_EQ(offered_rows<4>(token, "weights", random_tensor<float, 3>({2, 1, 8}, 2), x).shape(),
            (Shape<4>{2, 2, 1, 13}));
}
// A map and its positions are one thing.
TEST(FeaturePooling, MapsAreTheirPositions) {
  Rng rng(3);
  const auto x = random_tensor<float, 4>({2, 3, 4, 8}, 1);
  Tensor<float, 3> tokens(2, 12, 8), with_class(2, 13, 8);
  std::copy_n(x.data(), x.size(), tokens.data());
  const auto first = random_tensor<float, 3>({2, 1, 8}, 2);
  for (Index b = 0; b < 2; ++b) {
    std::copy_n(first.data() + b * 8, 8, with_class.data() + b * 13 * 8);
    std::copy_n(x.data() + b * 12 * 8, 12 * 8, with_class.data() + (b * 13 + 1) * 8);
  }
  const auto same = [](const auto& a, const auto& b) {
    ASSERT_EQ(a.size(), b.size());
    for (Index i = 0; i < a.size(); ++i) EXPECT_EQ(a.data()[i], b.data()[i]);
  };
  const SimPool<float> sim({.channels = 8}, rng);
  const LsePool<float> lse;
  const ClassAttention<float> token({.channels = 8}, rng);
  same(sim(x), sim(tokens));
  same(lse(x), lse(tokens));
  same(token(first, x), token(with_class));
}
// Sharp, the pool is the maximum; soft, the mean.
TEST(LsePool, LiesBetweenMeanAndMaximum) {
  Tensor<double, 3> x(1, 4, 1);
  x.setValues({{{1}, {2}, {3}, {6}}});
  EXPECT_NEAR((LsePool<double>({.r = 1e4})(x)(0, 0)), 6, 1e-3);   // 6 - log 4 / r
  EXPECT_NEAR((LsePool<double>({.r = 1e-4})(x)(0, 0)), 3, 1e-3);  // 3 + r variance / 2
  EXPECT_NEAR((LsePool<double>({.r = -100})(x)(0, 0)), 1, 2e-2);  // towards the minimum: 1 + log 4 / 100
  const LsePool<double> fixed({.learnable = false});
  EXPECT_EQ(count_parameters<double>(fixed), 0);
}
// Rotary positions belong to the grid, not to a number of positions: another size of map is legal.
TEST(GridAttentionPool, RotaryTakesMapsOfAnySize) {
  Rng rng(3);
  const GridAttentionPool<float> pool({.channels = 8, .num_heads = 1, .positions = GridPositions::rotary}, rng);
  EXPECT_EQ(shape_of(pool(random_tensor<float, 4>({2, 3, 5, 8}, 1))), (Shape<2>{2, 8}));
  EXPECT_EQ(shape_of(pool(random_tensor<float, 4>({2, 5, 3, 8}, 1))), (Shape<2>{2, 8}));
}
// timm pairs (x0, x1), (x2, x3), the first half of the pairs turns by the row, the other by the column: of three equal
// keys (1, 0, 0, 0), that of the mean, of row 0 and of row 1, the last turns by the angle 1, within its first pair.
TEST(Trap, T16_RotaryPoolPairsNeighbouringNumbers) {
  Rng rng(3);
  GridAttentionPool<double> pool({.channels = 4,
                                  .num_heads = 1,
                                  .positions = GridPositions::rotary,
                                  .height = 2,
                                  .width = 1,
                                  .qkv_bias = false,
                                  .project = false},
                                 rng);
  {
    auto weight = parameter<double>(pool, "qkv.weight")->edit_flat();
    weight.setZero();
    for (Index i = 0; i < 12; ++i) weight(i * 4 + i % 4) = 1;
  }
  const auto share_of_row_1 = [&](Index along) {
    Tensor<double, 4> x(1, 2, 1, 4);
    x.setZero();
    x(0, 0, 0, along) = x(0, 1, 0, along) = 1;
    const Recording recording(pool);
    (void)pool(x);
    return recording.all<4, double>("weights").at(0).data()[2];
  };
  const double straight = std::exp(0.5), turned = std::exp(0.5 * std::cos(1.0));
  for (const Index row_pair : {0, 1}) EXPECT_NEAR(share_of_row_1(row_pair), turned / (2 * straight + turned), 1e-15);
  for (const Index column_pair : {2, 3}) EXPECT_NEAR(share_of_row_1(column_pair), 1. / 3, 1e-15);
}

TEST(BadInput, FeaturePooling) {
  Rng rng(3);
  const auto shape = [&](const auto& layer, const Shape<4>& given, const std::vector<std::string>& parts) {
    expect_error<ShapeError>([&] { layer(Tensor<float, 4>(given)); }, parts);
  };
  const GridAttentionPoolOptions clip{.channels = 8, .num_heads = 2, .height = 3, .width = 4};
  shape(GridAttentionPool<float>(clip, rng), {2, 4, 3, 8}, {"(2, 4, 3, 8)", "(3, 4)"});
  shape(GridAttentionPool<float>(clip, rng), {2, 3, 4, 7}, {"(2, 3, 4, 7)", "channels = 8"});
  shape(SimPool<float>({.channels = 8}, rng), {2, 3, 4, 7}, {"(2, 12, 7)", "channels = 8"});
  shape(SimPool<float>({.channels = 8}, rng), {2, 0, 4, 8}, {"(2, 0, 8)", "positions"});
  shape(LsePool<float>(), {2, 0, 4, 8}, {"(2, 0, 8)", "positions"});
  const ClassAttention<float> token({.channels = 8}, rng);
  expect_error<ShapeError>([&] { token(Tensor<float, 3>(2, 0, 8)); }, {"(2, 0, 8)", "class token"});
  expect_error<ShapeError>([&] { token(Tensor<float, 3>(2, 1, 7)); }, {"(2, 1, 7)", "channels = 8"});
  const auto option = [](const auto& make, const std::vector<std::string>& parts) {
    expect_error<OptionError>(make, parts);
  };
  option([&] { GridAttentionPool<float>({.channels = 8}, rng); }, {"head_dim = 64", "embed_dim = 8"});
  option([&] { GridAttentionPool<float>({.channels = 8, .num_heads = 3}, rng); }, {"num_heads = 3", "embed_dim = 8"});
  option([&] { GridAttentionPool<float>({.channels = 8, .num_heads = 2, .height = 0}, rng); }, {"height = 0"});
  option([&] { GridAttentionPool<float>({.channels = 6, .num_heads = 1, .positions = GridPositions::rotary}, rng); },
         {"= 6", "multiple of 4"});
  option([&] { SimPool<float>({.channels = 8, .num_heads = 3}, rng); }, {"num_heads = 3", "channels = 8"});
  option([&] { SimPool<float>({.channels = 8, .gamma = -1}, rng); }, {"gamma = -1"});
  option([&] { LsePool<float>({.r = 0}); }, {"r is 0"});
  option([&] { ClassAttention<float>({.channels = 4}, rng); }, {"num_heads = 8", "channels = 4"});
}

}  // namespace
}  // namespace feature_pooling_test
