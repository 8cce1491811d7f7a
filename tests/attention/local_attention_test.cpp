#include "attend/attention/spatial/cooccurrent_attention.hpp"
#include "attend/attention/spatial/neighborhood_attention.hpp"
#include "attend/attention/spatial/outlook_attention.hpp"
#include "attention/spatial_models.hpp"

namespace local_attention_test {
namespace {
using namespace attend;
using attend::testing::random_tensor;

constexpr CooccurrentAttentionOptions acf{
    .channels = 6, .num_heads = 2, .num_mixtures = 2, .key_channels = 4, .value_channels = 3};

TEST(LocalAttention, NamesAndShapesAreThoseOfWeightFiles) {
  Rng rng(3);
  EXPECT_EQ(names(OutlookAttention<float>({.channels = 64}, rng)),
            "v.weight(64,64,) attn.weight(324,64,) attn.bias(324,) proj.weight(64,64,) proj.bias(64,) ");
  EXPECT_EQ(names(NeighborhoodAttention<float>({.channels = 8, .kernel_size = 3}, rng)),
            "qkv.weight(24,8,) qkv.bias(24,) rpb(4,5,5,) proj.weight(8,8,) proj.bias(8,) ");
  EXPECT_EQ(names(CooccurrentAttention<float>(
                {.channels = 16, .num_heads = 2, .num_mixtures = 2, .key_channels = 8, .value_channels = 8}, rng)),
            "conv_qs.weight(16,16,1,1,) conv_qs.bias(16,) conv_ks.weight(16,16,1,1,) conv_ks.bias(16,) "
            "conv_vs.weight(16,16,1,1,) conv_vs.bias(16,) "
            "attention.weight(2,8,) conv.weight(16,16,1,1,) norm_layer.weight(16,) norm_layer.bias(16,) "
            "norm_layer.running_mean(16,) norm_layer.running_var(16,) norm_layer.num_batches_tracked() ");
  const CooccurrentAttention<float> ffn(
      {.channels = 16, .key_channels = 8, .value_channels = 8, .projection = CooccurrentProjection::ffn}, rng);
  EXPECT_EQ(names(ffn).find("conv_qs.0.weight(8,16,3,3,) conv_qs.1.weight(8,) conv_qs.1.bias(8,) "), 0u);
  EXPECT_NE(names(ffn).find("conv_ks.3.weight(8,8,1,1,) conv_ks.3.bias(8,) conv_vs."), std::string::npos);
}
TEST(LocalAttention, RowsOfOfferedWeightsSumToOne) {
  Rng rng(3);
  const auto x = random_tensor<float, 4>({2, 4, 5, 6}, 1);
  const NeighborhoodAttention<float> near({.channels = 6, .num_heads = 3, .kernel_size = 3}, rng);
  EXPECT_EQ(offered_rows<4>(near, "weights", x).shape(), (Shape<4>{40, 3, 1, 9}));
  const OutlookAttention<float> outlook({.channels = 6, .num_heads = 2, .stride = 2}, rng);
  EXPECT_EQ(offered_rows<4>(outlook, "weights", x).shape(), (Shape<4>{12, 2, 9, 9}));
  const CooccurrentAttention<float> mixture(acf, rng);
  EXPECT_EQ(offered_rows<4>(mixture, "weights", x).shape(), (Shape<4>{2, 4, 20, 6}));
  EXPECT_EQ(offered_rows<3>(mixture, "mixture", x).shape(), (Shape<3>{2, 2, 2}));
}
// In the corner the neighbourhood is the nearest one that fits: every position has as many neighbours.
TEST(NeighborhoodAttention, BordersMoveTheNeighbourhoodInwards) {
  Rng rng(3);
  NeighborhoodAttention<double> layer({.channels = 2, .num_heads = 1, .kernel_size = 3}, rng);
  randomize<double>(layer);
  auto x = random_tensor<double, 4>({1, 5, 6, 2}, 1);
  const auto before = layer(x);
  x(0, 2, 2, 0) += 1;
  const auto after = layer(x);
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 6; ++j)
      EXPECT_EQ(before(0, i, j, 1) != after(0, i, j, 1), j <= 3) << i << ", " << j;  // rows 0 ... 4 all see row 2
}
// With a kernel as large as the map, every position sees everything: the same keys for all.
TEST(NeighborhoodAttention, ALargeKernelSeesTheWholeMap) {
  Rng rng(3);
  NeighborhoodAttention<double> layer({.channels = 2, .num_heads = 1, .kernel_size = 3, .position_bias = false}, rng);
  auto x = random_tensor<double, 4>({1, 3, 3, 2}, 1);
  for (Index c = 0; c < 2; ++c) x(0, 0, 0, c) = x(0, 2, 2, c);  // equal queries in opposite corners
  const auto y = layer(x);
  for (Index c = 0; c < 2; ++c) EXPECT_EQ(y(0, 0, 0, c), y(0, 2, 2, c));
}
// Query and key are one projection, so their gradient is the sum of both uses; with no need for even sizes.
TEST(Trap, T19_CooccurrentQueriesAndKeysAreOneProjectionOfAnySize) {
  Rng rng(3);
  CooccurrentAttention<double> layer(acf, rng);
  randomize<double>(layer);
  for (const std::string part : {".weight", ".bias"})
    EXPECT_EQ(parameter<double>(layer, "conv_ks" + part).data, parameter<double>(layer, "conv_qs" + part).data);
  EXPECT_EQ(count_parameters<double>(layer), 8 * 6 + 8 + 6 * 6 + 6 + 2 * 4 + 6 * 6 + 12);  // conv_qs counts once
  EXPECT_EQ(shape_of(layer(random_tensor<double, 4>({2, 3, 5, 6}, 1))), (Shape<4>{2, 3, 5, 6}));
}
// Two keys with scores 1 and 0 before the temperature: sqrt(key_channels) = 2, although a part has two channels.
TEST(Trap, T39_CooccurrentTemperatureIsThatOfAllKeyChannels) {
  Rng rng(3);
  CooccurrentAttention<double> layer(
      {.channels = 1, .num_mixtures = 2, .key_channels = 4, .value_channels = 1, .pooling = false}, rng);
  for (const auto& p : parameters<double>(layer))
    if (p.name.find("conv_qs") == 0) p->edit_flat().setZero();
  parameter<double>(layer, "conv_qs.weight")->edit_flat()(0) = 1;  // the first channel of the first part
  Tensor<double, 4> x(1, 1, 2, 1);
  x.setValues({{{{1}, {0}}}});
  const Recording recording(layer);
  (void)layer(x);
  const auto weights = recording.all<4, double>("weights").at(0);
  EXPECT_NEAR(weights.data()[0], std::exp(0.5) / (std::exp(0.5) + 1), 1e-15);
}

TEST(BadInput, LocalAttention) {
  Rng rng(3);
  const auto shape = [&](const auto& layer, const Shape<4>& given, const std::vector<std::string>& parts) {
    expect_error<ShapeError>([&] { layer(Tensor<float, 4>(given)); }, parts);
  };
  const NeighborhoodAttention<float> dilated({.channels = 8, .kernel_size = 3, .dilation = 2}, rng);
  shape(dilated, {1, 6, 5, 8}, {"(1, 6, 5, 8)", "= 6 high and wide"});
  shape(dilated, {1, 6, 6, 7}, {"(1, 6, 6, 7)", "channels = 8"});
  shape(OutlookAttention<float>({.channels = 8}, rng), {1, 6, 6, 7}, {"(1, 6, 6, 7)", "channels = 8"});
  shape(OutlookAttention<float>({.channels = 8, .kernel_size = 2, .padding = 0, .stride = 2}, rng), {1, 5, 6, 8},
        {"(1, 5, 6, 8)", "kernel_size = 2", "stride = 2"});
  shape(CooccurrentAttention<float>(acf, rng), {1, 2, 2, 5}, {"(1, 2, 2, 5)", "channels = 6"});
  const auto option = [](const auto& make, const std::vector<std::string>& parts) {
    expect_error<OptionError>(make, parts);
  };
  option([&] { NeighborhoodAttention<float>({.channels = 6}, rng); }, {"num_heads = 4", "channels = 6"});
  option([&] { NeighborhoodAttention<float>({.channels = 8, .kernel_size = 4}, rng); }, {"kernel_size = 4"});
  option([&] { NeighborhoodAttention<float>({.channels = 8, .dilation = 0}, rng); }, {"dilation = 0"});
  option([&] { OutlookAttention<float>({.channels = 6}, rng); }, {"num_heads = 4", "channels = 6"});
  option([&] { OutlookAttention<float>({.channels = 8, .padding = 3}, rng); }, {"padding = 3"});
  auto odd = acf;
  odd.num_mixtures = 3;
  option([&] { CooccurrentAttention<float>(odd, rng); }, {"num_mixtures = 3", "key_channels = 4"});
  option([&] { CooccurrentAttention<float>({.channels = 6}, rng); }, {"key_channels = 0"});
}

}  // namespace
}  // namespace local_attention_test
