#include "attend/attention/spatial/cross_covariance_attention.hpp"
#include "attend/attention/spatial/efficient_attention.hpp"
#include "attend/attention/spatial/external_attention.hpp"
#include "attend/attention/spatial/factorized_attention.hpp"
#include "attend/attention/spatial/multi_scale_linear_attention.hpp"
#include "attend/attention/spatial/separable_attention.hpp"
#include "attend/functional/l2_normalize.hpp"
#include "attention/spatial_models.hpp"

namespace linear_attention_test {
namespace {
using namespace attend;
using attend::testing::random_tensor;

TEST(LinearAttention, NamesAndShapesAreThoseOfWeightFiles) {
  Rng rng(3);
  EXPECT_EQ(names(MultiScaleLinearAttention<float>({.channels = 64}, rng)),
            "qkv.conv.weight(192,64,1,1,) aggreg.0.0.weight(192,1,5,5,) aggreg.0.1.weight(192,8,1,1,) "
            "proj.conv.weight(64,128,1,1,) proj.norm.weight(64,) proj.norm.bias(64,) proj.norm.running_mean(64,) "
            "proj.norm.running_var(64,) proj.norm.num_batches_tracked() ");
  EXPECT_EQ(names(CrossCovarianceAttention<float>({.channels = 64, .num_heads = 4, .qkv_bias = true}, rng)),
            "temperature(4,1,1,) qkv.weight(192,64,) qkv.bias(192,) proj.weight(64,64,) proj.bias(64,) ");
  EXPECT_EQ(names(SeparableAttention<float>({.channels = 64}, rng)),
            "qkv_proj.weight(129,64,1,1,) qkv_proj.bias(129,) out_proj.weight(64,64,1,1,) out_proj.bias(64,) ");
  EXPECT_EQ(names(ExternalAttention<float>({.channels = 64, .memory_size = 8}, rng)),
            "mk.weight(8,64,) mv.weight(64,8,) ");
  EXPECT_EQ(names(FactorizedAttention<float>({.channels = 64, .qkv_bias = true}, rng)),
            "qkv.weight(192,64,) qkv.bias(192,) proj.weight(64,64,) proj.bias(64,) "
            "crpe.conv_list.0.weight(16,1,3,3,) crpe.conv_list.0.bias(16,) crpe.conv_list.1.weight(24,1,5,5,) "
            "crpe.conv_list.1.bias(24,) crpe.conv_list.2.weight(24,1,7,7,) crpe.conv_list.2.bias(24,) ");
  EXPECT_EQ(names(EfficientAttention<float>({.channels = 8, .key_channels = 4, .value_channels = 6}, rng)),
            "keys.weight(4,8,1,1,) keys.bias(4,) queries.weight(4,8,1,1,) queries.bias(4,) values.weight(6,8,1,1,) "
            "values.bias(6,) reprojection.weight(8,6,1,1,) reprojection.bias(8,) ");
}
TEST(LinearAttention, RowsOfOfferedWeightsSumToOne) {
  Rng rng(3);
  const auto x = random_tensor<float, 4>({2, 3, 4, 8}, 1);
  const CrossCovarianceAttention<float> xca({.channels = 8, .num_heads = 2}, rng);
  EXPECT_EQ(offered_rows<4>(xca, "weights", x).shape(), (Shape<4>{2, 2, 4, 4}));
  const EfficientAttention<float> efficient({.channels = 8, .num_heads = 2}, rng);
  EXPECT_EQ(offered_rows<4>(efficient, "keys", x).shape(), (Shape<4>{2, 2, 4, 12}));
  const SeparableAttention<float> separable({.channels = 8}, rng);
  EXPECT_EQ(offered_rows<3>(separable, "weights", x).shape(), (Shape<3>{2, 3, 4}));
  const ExternalAttention<float> external({.channels = 8, .memory_size = 5}, rng);
  EXPECT_EQ(offered_rows<3>(external, "weights", x).shape(), (Shape<3>{2, 12, 5}));
  const FactorizedAttention<float> factorized({.channels = 8, .num_heads = 8}, rng);
  EXPECT_EQ(offered_rows<4>(factorized, "keys", x).shape(), (Shape<4>{2, 8, 1, 12}));
}
// The map that linear attention never makes, made for a recording: it explains the output, which does not change.
TEST(MultiScaleLinearAttention, OfferedWeightsAreThoseOfTheOutput) {
  Rng rng(3);
  MultiScaleLinearAttention<double> layer({.channels = 4, .dim = 4, .scales = {}}, rng);
  for (const auto& p : parameters<double>(layer))
    if (p.name == "qkv.conv.weight") {
      auto weight = p->edit_flat();
      for (Index i = 0; i < weight.size(); ++i) weight(i) = std::abs(weight(i));
    } else if (p.name == "proj.conv.weight") {
      auto weight = p->edit_flat();
      weight.setZero();
      for (Index c = 0; c < 4; ++c) weight(5 * c) = 1;
    }
  auto x = random_tensor<double, 4>({1, 2, 3, 4}, 1);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = std::abs(x.data()[i]);
  const auto plain = layer(x);
  const Recording recording(layer);
  const auto y = layer(x);
  const auto weights = recording.all<4, double>("weights").at(0);
  ASSERT_EQ(weights.shape(), (Shape<4>{1, 1, 6, 6}));
  const auto rows = parameter<double>(layer, "qkv.conv.weight");
  for (Index i = 0; i < 6; ++i)
    for (Index c = 0; c < 4; ++c) {
      double expected = 0;
      for (Index j = 0; j < 6; ++j)
        for (Index k = 0; k < 4; ++k)
          expected += weights.data()[i * 6 + j] * rows->data()[(8 + c) * 4 + k] * x.data()[j * 4 + k];
      EXPECT_NEAR(y.data()[i * 4 + c], expected / std::sqrt(1 + 1e-5), 1e-12);
      EXPECT_EQ(y.data()[i * 4 + c], plain.data()[i * 4 + c]);
    }
}
// qkv has query, key and value of head 0, then those of head 1: with one position, head 1 gives its value, rows 9 to
// 11.
// timm's computes in float32 inside, also in a double network, and agrees to 1e-6; a step that float would not see.
TEST(Trap, T34_LiteMlaComputesInItsOwnPrecision) {
  Rng rng(3);
  MultiScaleLinearAttention<double> layer({.channels = 4, .dim = 4, .scales = {3}}, rng);
  randomize<double>(layer);
  auto x = random_tensor<double, 4>({1, 3, 4, 4}, 1);
  const Tensor<double, 4> at = layer(x);
  const auto changed_by = [&](double step) {
    auto moved = x;
    moved(0, 1, 2, 0) += step;
    return layer(moved)(0, 2, 1, 3) - at(0, 2, 1, 3);
  };
  const double once = changed_by(1e-10), twice = changed_by(2e-10);
  EXPECT_GT(std::abs(once), 1e-13);
  EXPECT_NEAR(twice, 2 * once, 1e-14);  // roundings of numbers near one
}
TEST(Trap, T36_LiteMlaGroupsAreQueryKeyValueOfEachHead) {
  Rng rng(3);
  MultiScaleLinearAttention<double> layer({.channels = 4, .num_heads = 2, .dim = 2, .scales = {}}, rng);
  for (const auto& p : parameters<double>(layer)) {
    if (p.name == "qkv.conv.weight") {
      auto weight = p->edit_flat();
      weight.setZero();
      for (const Index row : {0, 2, 6, 8}) weight(row * 4) = 1e3;  // queries and keys, from channel 0
      for (const auto& [row, channel] : {std::pair{4, 0}, {5, 1}, {10, 2}, {11, 3}}) weight(row * 4 + channel) = 1;
    } else if (p.name == "proj.conv.weight") {
      auto weight = p->edit_flat();
      weight.setZero();
      for (Index c = 0; c < 4; ++c) weight(5 * c) = 1;
    }
  }
  Tensor<double, 4> x(1, 1, 1, 4);
  x.setValues({{{{1, 2, 3, 4}}}});
  const auto y = layer(x);
  for (Index c = 0; c < 4; ++c) EXPECT_NEAR(y(0, 0, 0, c), double(c + 1) / std::sqrt(1 + 1e-5), 1e-9);
}
TEST(LinearAttention, MapsAreTheirPositions) {
  Rng rng(3);
  const auto x = random_tensor<float, 4>({2, 3, 4, 8}, 1);
  Tensor<float, 3> tokens(2, 12, 8);
  std::copy_n(x.data(), x.size(), tokens.data());
  const auto same = [](const auto& a, const auto& b) {
    for (Index i = 0; i < a.size(); ++i) EXPECT_EQ(a.data()[i], b.data()[i]);
  };
  const CrossCovarianceAttention<float> xca({.channels = 8}, rng);
  const ExternalAttention<float> external({.channels = 8}, rng);
  same(xca(x), xca(tokens));
  same(external(x), external(tokens));
}
TEST(L2Normalize, GivesUnitRowsAndLeavesZeros) {
  Tensor<float, 2> x(2, 2);
  x.setValues({{3, -4}, {0, 0}});
  const auto y = l2_normalize(Variable<float, 2>(x));
  EXPECT_FLOAT_EQ(y.data()[0], 0.6f);
  EXPECT_FLOAT_EQ(y.data()[1], -0.8f);
  EXPECT_EQ(y.data()[2], 0);
  const auto report = attend::testing::check_function_gradients([](const auto& v) { return l2_normalize(v); },
                                                                random_tensor<double, 3>({2, 3, 5}, 1));
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(BadInput, LinearAttention) {
  Rng rng(3);
  const auto shape = [&](const auto& layer, const Shape<4>& given, const std::vector<std::string>& parts) {
    expect_error<ShapeError>([&] { layer(Tensor<float, 4>(given)); }, parts);
  };
  shape(MultiScaleLinearAttention<float>({.channels = 8}, rng), {1, 2, 3, 9}, {"(1, 2, 3, 9)", "channels = 8"});
  shape(EfficientAttention<float>({.channels = 8}, rng), {1, 2, 3, 9}, {"(1, 2, 3, 9)", "channels = 8"});
  shape(CrossCovarianceAttention<float>({.channels = 8}, rng), {1, 2, 3, 9}, {"(1, 6, 9)", "channels = 8"});
  shape(SeparableAttention<float>({.channels = 8}, rng), {1, 2, 3, 9}, {"(1, 2, 3, 9)", "channels = 8"});
  shape(ExternalAttention<float>({.channels = 8}, rng), {1, 2, 3, 9}, {"(1, 6, 9)", "channels = 8"});
  const FactorizedAttention<float> factorized({.channels = 8}, rng);
  shape(factorized, {1, 2, 3, 9}, {"(1, 6, 9)", "channels = 8"});
  expect_error<ShapeError>([&] { factorized(Tensor<float, 3>(1, 7, 8), {.height = 3, .width = 3}); },
                           {"(1, 7, 8)", "(3, 3)"});
  expect_error<ShapeError>([&] { factorized(Tensor<float, 3>(1, 7, 8)); }, {"(1, 7, 8)", "(0, 0)"});
  const auto option = [](const auto& make, const std::vector<std::string>& parts) {
    expect_error<OptionError>(make, parts);
  };
  option([&] { MultiScaleLinearAttention<float>({.channels = 7}, rng); }, {"dim = 8", "channels = 7"});
  option([&] { MultiScaleLinearAttention<float>({.channels = 8, .scales = {4}}, rng); }, {"scale is 4"});
  option([&] { EfficientAttention<float>({.channels = 8, .key_channels = 5, .num_heads = 2}, rng); },
         {"num_heads = 2", "key_channels = 5"});
  option([&] { CrossCovarianceAttention<float>({.channels = 4}, rng); }, {"num_heads = 8", "channels = 4"});
  option([&] { SeparableAttention<float>({}, rng); }, {"channels = 0"});
  option([&] { ExternalAttention<float>({.channels = 8, .memory_size = 0}, rng); }, {"memory_size = 0"});
  option([&] { FactorizedAttention<float>({.channels = 8, .num_heads = 4}, rng); }, {"8 heads", "num_heads = 4"});
  option([&] { FactorizedAttention<float>({.channels = 8, .windows = {{4, 8}}}, rng); }, {"kernel_size = 4"});
}

}  // namespace
}  // namespace linear_attention_test
