#include "attend/attention/spatial/axial_attention.hpp"
#include "attend/attention/spatial/bilinear_attention.hpp"
#include "attend/attention/spatial/criss_cross_attention.hpp"
#include "attend/attention/spatial/enhanced_spatial_attention.hpp"
#include "attend/attention/spatial/halo_attention.hpp"
#include "attend/attention/spatial/lambda_layer.hpp"
#include "attend/attention/spatial/non_local.hpp"
#include "attend/attention/spatial/position_attention.hpp"
#include "attention/spatial_models.hpp"

namespace grid_attention_test {
namespace {
using namespace attend;
using attend::testing::random_tensor;

TEST(GridAttention, NamesAndShapesAreThoseOfWeightFiles) {
  Rng rng(3);
  EXPECT_EQ(names(HaloAttention<float>({.channels = 64}, rng)),
            "q.weight(64,64,1,1,) kv.weight(128,64,1,1,) pos_embed.height_rel(27,8,) pos_embed.width_rel(27,8,) ");
  EXPECT_EQ(names(LambdaLayer<float>({.channels = 64}, rng)),
            "qkv.weight(96,64,1,1,) norm_q.weight(64,) norm_q.bias(64,) norm_q.running_mean(64,) "
            "norm_q.running_var(64,) norm_q.num_batches_tracked() norm_v.weight(16,) norm_v.bias(16,) "
            "norm_v.running_mean(16,) norm_v.running_var(16,) norm_v.num_batches_tracked() "
            "conv_lambda.weight(16,1,9,9,1,) conv_lambda.bias(16,) ");
  EXPECT_NE(
      names(LambdaLayer<float>({.channels = 64, .r = 0, .height = 14, .width = 14}, rng)).find("pos_emb(27,27,16,) "),
      std::string::npos);
  EXPECT_EQ(names(CrissCrossAttention<float>({.channels = 64}, rng)),
            "query_conv.weight(8,64,1,1,) query_conv.bias(8,) key_conv.weight(8,64,1,1,) key_conv.bias(8,) "
            "value_conv.weight(64,64,1,1,) value_conv.bias(64,) gamma(1,) ");
  EXPECT_EQ(names(PositionAttention<float>({.channels = 64}, rng)),
            names(CrissCrossAttention<float>({.channels = 64}, rng)));
  const auto bat = names(BilinearAttention<float>({.channels = 64}, rng));
  for (const char* part :
       {"conv1.conv.weight(16,64,1,1,)", "ba.conv1.conv.weight(2,16,1,1,)",
        "ba.conv_p.weight(98,2,7,1,) ba.conv_p.bias(98,)", "ba.conv_q.weight(98,2,1,7,)", "conv2.bn.running_var(64,)"})
    EXPECT_NE(bat.find(part), std::string::npos) << bat;
  const auto axial = names(AxialAttention<float>({.channels = 16, .num_heads = 2}, rng));
  for (const char* along : {"axial_attentions.0.fn.", "axial_attentions.1.fn."})
    EXPECT_NE(axial.find(std::string(along) + "to_q.weight(16,16,) " + along + "to_kv.weight(32,16,) " + along +
                         "to_out.weight(16,16,) " + along + "to_out.bias(16,) "),
              std::string::npos)
        << axial;
  EXPECT_EQ(names(NonLocal<float>({.channels = 16, .form = NonLocalForm::gaussian}, rng)).substr(0, 26),
            "g.weight(8,16,1,1,) g.bias");
}

template <class Layer>
void expect_identity(Layer layer) {
  const auto x = random_tensor<float, 4>({2, 4, 6, 16}, 1), y = layer(x);
  for (Index i = 0; i < x.size(); ++i) EXPECT_EQ(y.data()[i], x.data()[i]);
}
TEST(GridAttention, StartsAsTheIdentityWhereItHasAFactor) {
  Rng rng(3);
  expect_identity(PositionAttention<float>({.channels = 16}, rng));
  expect_identity(CrissCrossAttention<float>({.channels = 16}, rng));
}

TEST(GridAttention, RowsOfOfferedWeightsSumToOne) {
  Rng rng(3);
  const auto x = random_tensor<float, 4>({2, 4, 6, 16}, 1);
  PositionAttention<float> position({.channels = 16}, rng);
  randomize<float>(position);
  EXPECT_EQ(offered_rows<4>(position, "weights", x).shape(), (Shape<4>{2, 1, 24, 24}));
  CrissCrossAttention<float> cross({.channels = 16}, rng);
  randomize<float>(cross);
  const auto of_cross = offered_rows<3>(cross, "weights", x);
  EXPECT_EQ(of_cross.shape(), (Shape<3>{2, 24, 10}));
  for (Index i = 0; i < 4; ++i)
    for (Index j = 0; j < 6; ++j) EXPECT_EQ(of_cross.data()[(i * 6 + j) * 10 + i], 0) << "itself twice";
  HaloAttention<float> halo({.channels = 16, .num_heads = 2, .block_size = 2, .halo_size = 1}, rng);
  EXPECT_EQ(offered_rows<4>(halo, "weights", x).shape(), (Shape<4>{12, 2, 4, 16}));
  LambdaLayer<float> lambda({.channels = 16, .dim_head = 3, .r = 3}, rng);
  EXPECT_EQ(offered_rows<3>(lambda, "keys", x).shape(), (Shape<3>{2, 3, 24}));
  AxialAttention<float> axial({.channels = 16, .num_heads = 2}, rng);
  EXPECT_EQ(offered_rows<4>(axial, "axial_attentions.0.weights", x).shape(), (Shape<4>{12, 2, 4, 4}));
  EXPECT_EQ(offered_rows<4>(axial, "axial_attentions.1.weights", x).shape(), (Shape<4>{8, 2, 6, 6}));
  BilinearAttention<float> bilinear({.channels = 16, .block_size = 2}, rng);
  EXPECT_EQ(offered_rows<4>(bilinear, "rows", x).shape(), (Shape<4>{2, 2, 2, 2}));
}
TEST(GridAttention, OfferedGatesAndProducts) {
  Rng rng(3);
  const EnhancedSpatialAttention<float> esa({.channels = 4}, rng);
  const Recording of_gate(esa);
  const auto x = random_tensor<float, 4>({1, 15, 16, 4}, 1), y = esa(x);
  const auto gate = of_gate.all<4>("gate");
  ASSERT_EQ(gate.size(), 1u);
  for (Index i = 0; i < x.size(); ++i) EXPECT_EQ(y.data()[i], x.data()[i] * gate[0].data()[i]);
  // The dot product's weights are made for the recording only, beside the same output.
  for (const auto form : {NonLocalForm::dot, NonLocalForm::concatenation}) {
    NonLocal<float> local({.channels = 4, .rd_channels = 3, .form = form}, rng);
    randomize<float>(local);
    const auto plain = local(x);
    const Recording of_weights(local);
    const auto again = local(x);
    EXPECT_EQ(of_weights.all<4>("weights").at(0).shape(), (Shape<4>{1, 1, 240, 240}));
    for (Index i = 0; i < plain.size(); ++i) EXPECT_EQ(plain.data()[i], again.data()[i]);
  }
}

// Every key of the map, and every zero around it, has score 0: of 16 keys in the window, the 4 of the map count a
// quarter.
TEST(Trap, T10_HaloZerosTakeTheirShareOfTheSoftmax) {
  Rng rng(3);
  HaloAttention<double> layer({.channels = 1, .num_heads = 1, .dim_head = 1, .block_size = 2, .halo_size = 1}, rng);
  for (const auto& p : parameters<double>(layer)) p->edit_flat().setZero();
  parameter<double>(layer, "kv.weight")->edit_flat()(1) = 1;
  Tensor<double, 4> x(1, 2, 2, 1);
  x.setConstant(8);
  const auto y = layer(x);
  for (Index i = 0; i < 4; ++i) EXPECT_EQ(y.data()[i], 2);
}
// kv has key and value of head 0, then key and value of head 1; q has its heads one after another.
TEST(Trap, T36_HaloKeysAndValuesLieTogetherInEachHead) {
  Rng rng(3);
  HaloAttention<double> layer({.channels = 4, .num_heads = 2, .dim_head = 1, .block_size = 1, .halo_size = 0}, rng);
  for (const auto& p : parameters<double>(layer)) p->edit_flat().setZero();
  auto weight = parameter<double>(layer, "kv.weight");
  ASSERT_EQ(weight->size(), 6 * 4);
  for (const auto& [row, channel] : {std::pair{1, 0}, {2, 1}, {4, 2}, {5, 3}})
    weight->edit_flat()(row * 4 + channel) = 1;
  Tensor<double, 4> x(1, 1, 1, 4);
  x.setValues({{{{1, 2, 3, 4}}}});
  const auto y = layer(x);  // one key: its value
  for (Index c = 0; c < 4; ++c) EXPECT_EQ(y(0, 0, 0, c), double(c + 1));
}
TEST(Trap, T35_HaloTablesAreKeyMinusQueryInsideTheWindow) {
  Tensor<double, 4> q(1, 2, 1, 1);  // a block of one row and two columns in a window of 3 x 4
  q.setConstant(1);
  Tensor<double, 2> h(5, 1), w(7, 1);
  for (Index i = 0; i < 5; ++i) h(i, 0) = double(10 * i);
  for (Index i = 0; i < 7; ++i) w(i, 0) = double(i);
  const auto logits =
      relative_logits(Variable<double, 4>(q), Variable<double, 2>(h), Variable<double, 2>(w), 1, Pair(1, 2)).tensor();
  ASSERT_EQ(shape_of(logits), (Shape<4>{1, 1, 2, 12}));
  EXPECT_EQ(logits(0, 0, 0, 0), 20 + 3);   // row 0 - 0 + 2, column 0 - 0 + 3
  EXPECT_EQ(logits(0, 0, 0, 11), 40 + 6);  // row 2, column 3
  EXPECT_EQ(logits(0, 0, 1, 0), 20 + 2);
  const auto report = attend::testing::check_function_gradients(
      [](const auto& query, const auto& rows, const auto& columns) {
        return relative_logits(query, rows, columns, 0.5, Pair(2, 2));
      },
      random_tensor<double, 4>({2, 4, 3, 2}, 1), random_tensor<double, 2>({5, 2}, 2),
      random_tensor<double, 2>({7, 2}, 3));
  EXPECT_TRUE(report.ok()) << report.text();
}
// Twice through, everything has reached everything: a change in one corner is seen in the opposite one.
TEST(CrissCrossAttention, TwoCallsReachEverywhere) {
  Rng rng(3);
  CrissCrossAttention<double> layer({.channels = 4, .reduced_channels = 2}, rng);
  randomize<double>(layer);
  auto x = random_tensor<double, 4>({1, 3, 4, 4}, 1);
  const auto once = layer(x), twice = layer(once);
  x(0, 0, 0, 0) += 1;
  const auto once_changed = layer(x), twice_changed = layer(once_changed);
  EXPECT_EQ(once(0, 2, 3, 1), once_changed(0, 2, 3, 1));
  EXPECT_NE(once(0, 2, 0, 1), once_changed(0, 2, 0, 1));
  EXPECT_NE(twice(0, 2, 3, 1), twice_changed(0, 2, 3, 1));
}
TEST(NonLocal, EmbeddedGaussianOfIdentityMapsIsTheGaussian) {
  Rng rng(3);
  const NonLocalOptions embedded{.channels = 3, .rd_channels = 3};
  auto plain = embedded;
  plain.form = NonLocalForm::gaussian;
  NonLocal<double> with(embedded, rng), without(plain, rng);
  randomize<double>(with);
  for (const char* map : {"t", "p"}) {
    parameter<double>(with, std::string(map) + ".bias")->edit_flat().setZero();
    auto weight = parameter<double>(with, std::string(map) + ".weight")->edit_flat();
    weight.setZero();
    for (Index c = 0; c < 3; ++c) weight(4 * c) = 1;
  }
  for (const auto& p : parameters<double>(without)) {
    const auto from = parameter<double>(with, p.name);
    std::copy_n(from->data(), p->size(), p->edit_flat().data());
  }
  const auto x = random_tensor<double, 4>({2, 3, 4, 3}, 1);
  const auto a = with(x), b = without(x);
  for (Index i = 0; i < a.size(); ++i) EXPECT_EQ(a.data()[i], b.data()[i]);
}

TEST(BadInput, GridAttention) {
  Rng rng(3);
  const auto shape = [&](const auto& layer, const Shape<4>& given, const std::vector<std::string>& parts) {
    expect_error<ShapeError>([&] { layer(Tensor<float, 4>(given)); }, parts);
  };
  shape(PositionAttention<float>({.channels = 8}, rng), {1, 2, 3, 9}, {"(1, 2, 3, 9)", "channels = 8"});
  shape(CrissCrossAttention<float>({.channels = 8}, rng), {1, 2, 3, 9}, {"(1, 2, 3, 9)", "channels = 8"});
  shape(AxialAttention<float>({.channels = 8}, rng), {1, 2, 3, 9}, {"(1, 2, 3, 9)", "channels = 8"});
  shape(EnhancedSpatialAttention<float>({.channels = 8}, rng), {1, 15, 14, 8}, {"(1, 15, 14, 8)", "15 by 15"});
  shape(HaloAttention<float>({.channels = 8, .block_size = 4}, rng), {1, 4, 6, 8}, {"(1, 4, 6, 8)", "block_size = 4"});
  shape(BilinearAttention<float>({.channels = 8, .block_size = 3}, rng), {1, 6, 8, 8},
        {"(1, 6, 8, 8)", "block_size = 3"});
  shape(LambdaLayer<float>({.channels = 8}, rng), {1, 2, 3, 9}, {"(1, 2, 3, 9)", "channels must be 8"});
  shape(LambdaLayer<float>({.channels = 8, .r = 0, .height = 2, .width = 3}, rng), {1, 3, 2, 8},
        {"(1, 3, 2, 8)", "(2, 3)"});
  const auto option = [](const auto& make, const std::vector<std::string>& parts) {
    expect_error<OptionError>(make, parts);
  };
  option([&] { PositionAttention<float>({.channels = 7}, rng); }, {"channels = 7", "reduced_channels = 0"});
  option([&] { CrissCrossAttention<float>({.channels = 8, .reduced_channels = -1}, rng); }, {"reduced_channels = -1"});
  option([&] { EnhancedSpatialAttention<float>({.channels = 3}, rng); }, {"channels = 3", "reduced_channels = 0"});
  option([&] { AxialAttention<float>({.channels = 3}, rng); }, {"num_heads = 8", "channels = 3"});
  option([&] { HaloAttention<float>({.channels = 12}, rng); }, {"num_heads = 8", "out_channels = 12"});
  option([&] { HaloAttention<float>({.channels = 8, .stride = 3}, rng); }, {"stride = 3"});
  option([&] { HaloAttention<float>({.channels = 8, .halo_size = -1}, rng); }, {"halo_size = -1"});
  option([&] { HaloAttention<float>({.channels = 8, .dim_head = -2}, rng); }, {"dim_head = -2"});
  option([&] { LambdaLayer<float>({.channels = 6}, rng); }, {"num_heads = 4", "out_channels = 6"});
  option([&] { LambdaLayer<float>({.channels = 8, .r = 4}, rng); }, {"r = 4"});
  option([&] { LambdaLayer<float>({.channels = 8, .r = 0}, rng); }, {"height = 0"});
  option([&] { LambdaLayer<float>({.channels = 8, .dim_head = -1}, rng); }, {"dim_head = -1"});
  option([&] { BilinearAttention<float>({.channels = 8, .groups = 3}, rng); }, {"groups = 3", "8"});
  option([&] { BilinearAttention<float>({.channels = 0}, rng); }, {"channels = 0"});
  option([&] { BilinearAttention<float>({.channels = 8, .dropout = 2}, rng); }, {"2.0"});
  const Variable<float, 4> query(Tensor<float, 4>(1, 6, 2, 4));
  const Variable<float, 2> three(Tensor<float, 2>(3, 4));
  expect_error<ShapeError>([&] { relative_logits(query, three, three, 1, Pair(3, 2)); }, {"(1, 6, 2, 4)", "(3, 2)"});
}

}  // namespace
}  // namespace grid_attention_test
