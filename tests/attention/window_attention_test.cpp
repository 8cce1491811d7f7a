#include "attend/attention/spatial/window_attention.hpp"

#include "attend/attention/spatial/window_attention_v2.hpp"
#include "attend/functional/reduction.hpp"
#include "attention/spatial_models.hpp"

namespace window_attention_test {
namespace {
using namespace attend;
using attend::testing::random_tensor;

constexpr WindowAttentionOptions small{.channels = 4, .num_heads = 2, .window_size = {2, 3}};

TEST(WindowAttention, NamesAndShapesAreTimms) {
  Rng rng(3);
  EXPECT_EQ(names(WindowAttention<float>({.channels = 64, .num_heads = 4}, rng)),
            "relative_position_bias_table(169,4,) qkv.weight(192,64,) qkv.bias(192,) proj.weight(64,64,) "
            "proj.bias(64,) ");
  EXPECT_EQ(names(WindowAttentionV2<float>({.channels = 64, .num_heads = 4}, rng)),
            "logit_scale(4,1,1,) q_bias(64,) v_bias(64,) cpb_mlp.0.weight(512,2,) cpb_mlp.0.bias(512,) "
            "cpb_mlp.2.weight(4,512,) qkv.weight(192,64,) proj.weight(64,64,) proj.bias(64,) ");
}
// A map no larger than the window: one window of its size, not shifted, with a table of that size.
TEST(WindowAttention, WindowsShrinkToSmallMaps) {
  Rng rng(3);
  const WindowAttention<float> layer(
      {.channels = 4, .num_heads = 2, .window_size = 7, .shift_size = 3, .height = 3, .width = 9}, rng);
  EXPECT_EQ(names(layer).substr(0, 36), "relative_position_bias_table(65,2,) ");  // (2 3 - 1)(2 7 - 1)
  EXPECT_EQ(offered_rows<4>(layer, "weights", random_tensor<float, 4>({2, 3, 9, 4}, 1)).shape(),
            (Shape<4>{4, 2, 21, 21}));
}
TEST(WindowAttention, RowsOfOfferedWeightsSumToOne) {
  Rng rng(3);
  auto shifted = small;
  shifted.shift_size = 1;
  WindowAttention<float> layer(shifted, rng);
  randomize<float>(layer);
  const auto x = random_tensor<float, 4>({2, 4, 7, 4}, 1);  // 2 x 3 windows
  EXPECT_EQ(offered_rows<4>(layer, "weights", x).shape(), (Shape<4>{12, 2, 6, 6}));
  WindowAttentionV2<float> angles({.channels = 4, .num_heads = 2, .window_size = {2, 3}, .shift_size = 1}, rng);
  randomize<float>(angles);
  EXPECT_EQ(offered_rows<4>(angles, "weights", x).shape(), (Shape<4>{12, 2, 6, 6}));
}
TEST(WindowAttention, WindowsDoNotSeeEachOther) {
  Rng rng(3);
  WindowAttention<double> layer(small, rng);
  randomize<double>(layer);
  auto x = random_tensor<double, 4>({1, 4, 6, 4}, 1);
  const auto before = layer(x);
  x(0, 1, 3, 2) += 1;  // in the window of rows 0, 1 and columns 3, 4, 5
  const auto after = layer(x);
  for (Index i = 0; i < 4; ++i)
    for (Index j = 0; j < 6; ++j) EXPECT_EQ(before(0, i, j, 0) != after(0, i, j, 0), i < 2 && j >= 3) << i << ", " << j;
}
// The regions that a shift brings together: three of the four windows hold cells of opposite ends.
TEST(WindowAttention, ShiftedWindowsDoNotMixOppositeEnds) {
  Rng rng(3);
  WindowAttention<double> layer({.channels = 2, .num_heads = 1, .window_size = 2, .shift_size = 1}, rng);
  randomize<double>(layer);
  auto x = random_tensor<double, 4>({1, 4, 4, 2}, 1);
  const auto before = layer(x);
  x(0, 0, 0, 1) += 1;  // alone with cells of other ends in its window
  x(0, 0, 1, 0) += 1;  // with (0, 2), and two of the last row
  const auto after = layer(x);
  for (Index i = 0; i < 4; ++i)
    for (Index j = 0; j < 4; ++j)
      EXPECT_EQ(std::abs(before(0, i, j, 0) - after(0, i, j, 0)) > 1e-12, i == 0 && j < 3) << i << ", " << j;
}
// What the shift parts is lowered by 100, not hidden: a score that is higher by more is heard.
TEST(Trap, T15_SwinMasksByMinusHundredNotByInfinity) {
  Rng rng(3);
  WindowAttention<double> layer({.channels = 1, .num_heads = 1, .window_size = 2, .shift_size = 1, .qkv_bias = false},
                                rng);
  for (const auto& p : parameters<double>(layer)) p->edit_flat().setZero();
  parameter<double>(layer, "qkv.weight")->edit_flat().setConstant(1);
  parameter<double>(layer, "proj.weight")->edit_flat().setConstant(1);
  Tensor<double, 4> x(1, 2, 2, 1);
  x.setValues({{{{1}, {1}}, {{1}, {200}}}});  // each cell is alone in its region
  const auto y = layer(x);
  EXPECT_NEAR(y(0, 0, 0, 0), 200 - 2 * 199 * std::exp(-99.) / 2, 1e-9);  // score 1 of itself against 200 - 100
  x(0, 1, 1, 0) = 51;
  EXPECT_NEAR(layer(x)(0, 0, 0, 0), 1 + 50 * std::exp(-50.), 1e-12);
}
TEST(Trap, T35_WindowTableIsQueryMinusKey) {
  const auto index = relative_position_index(2, 3);
  EXPECT_EQ(index->rows[0 * 6 + 0], 7);          // same position: the middle row of 3 x 5
  EXPECT_EQ(index->rows[0 * 6 + 5], 7 - 5 - 2);  // the key one row below, two columns to the right
  EXPECT_EQ(index->rows[5 * 6 + 0], 7 + 5 + 2);
}
TEST(Trap, T15_SwinV2ClampsItsScaleAtAHundred) {
  Rng rng(3);
  WindowAttentionV2<double> layer({.channels = 4, .num_heads = 1, .window_size = 2}, rng);
  const auto x = random_tensor<double, 4>({1, 2, 2, 4}, 1);
  const auto with = [&](double scale) {
    parameter<double>(layer, "logit_scale")->edit_flat().setConstant(scale);
    return layer(x);
  };
  const auto at = with(std::log(100.)), above = with(7), below = with(4.5);
  for (Index i = 0; i < at.size(); ++i) EXPECT_EQ(at.data()[i], above.data()[i]);
  EXPECT_NE(at(0, 0, 0, 0), below(0, 0, 0, 0));
}
// timm computes the offsets in float32, also in a double network, and agrees to 1e-6. One query: 16 sigmoid(d) against
// twice 16 sigmoid(0), d of the key one row above.
TEST(Trap, T34_SwinV2ComputesOffsetsInDouble) {
  Rng rng(3);
  WindowAttentionV2<double> layer({.channels = 2, .num_heads = 1, .window_size = {3, 1}}, rng);
  for (const auto& p : parameters<double>(layer)) p->edit_flat().setZero();
  parameter<double>(layer, "cpb_mlp.0.weight")->edit_flat()(0) = 1;  // relu(rows)
  parameter<double>(layer, "cpb_mlp.2.weight")->edit_flat()(0) = 1;
  parameter<double>(layer, "qkv.weight")->edit_flat()(4 * 2) = 1;  // the value is channel 0
  parameter<double>(layer, "proj.weight")->edit_flat()(0) = 1;
  Tensor<double, 4> x(1, 3, 1, 2);
  x.setZero();
  x(0, 0, 0, 0) = 1;
  const double d = std::log2(5.) / 3, above = std::exp(16 / (1 + std::exp(-d)) - 8);
  EXPECT_NEAR(layer(x)(0, 1, 0, 0), above / (above + 2), 1e-12);
}
// A key of zeros has no direction: it gives score 0, not NaN.
TEST(WindowAttentionV2, ZeroVectorsHaveNoAngle) {
  Rng rng(3);
  WindowAttentionV2<float> layer({.channels = 4, .num_heads = 2, .window_size = 2, .qkv_bias = false}, rng);
  Tensor<float, 4> x(1, 4, 4, 4);
  x.setZero();
  Tape<float> tape(Mode::training);
  const auto in = tape.want(tape.input(x));
  const auto y = layer(in);
  const auto gradients = tape.backward(sum(y));
  for (Index i = 0; i < x.size(); ++i) EXPECT_TRUE(std::isfinite(gradients.of(in).data()[i]));
  for (Index i = 0; i < x.size(); ++i) EXPECT_TRUE(std::isfinite(y.data()[i]));
}

TEST(BadInput, WindowAttention) {
  Rng rng(3);
  const WindowAttention<float> any(small, rng);
  const WindowAttention<float> fixed({.channels = 4, .num_heads = 2, .window_size = 2, .height = 4, .width = 6}, rng);
  const WindowAttentionV2<float> angles({.channels = 4, .num_heads = 2, .height = 4, .width = 6}, rng);
  expect_error<ShapeError>([&] { any(Tensor<float, 4>(2, 4, 6, 5)); }, {"(2, 4, 6, 5)", "channels = 4"});
  expect_error<ShapeError>([&] { any(Tensor<float, 4>(2, 0, 6, 4)); }, {"(2, 0, 6, 4)", "positions"});
  expect_error<ShapeError>([&] { fixed(Tensor<float, 4>(2, 6, 4, 4)); }, {"(2, 6, 4, 4)", "(4, 6)"});
  expect_error<ShapeError>([&] { angles(Tensor<float, 4>(2, 4, 7, 4)); }, {"(2, 4, 7, 4)", "(4, 6)"});
  const auto refuse = [&](const WindowAttentionOptions& o, const std::vector<std::string>& parts) {
    expect_error<OptionError>([&] { WindowAttention<float>(o, rng); }, parts);
  };
  refuse({}, {"channels = 0"});
  refuse({.channels = 3, .num_heads = 4}, {"num_heads = 4", "channels = 3"});
  refuse({.channels = 4, .window_size = {7, 0}}, {"window_size = (7, 0)"});
  refuse({.channels = 4, .window_size = 4, .shift_size = 4}, {"shift_size = (4, 4)", "window_size = (4, 4)"});
  refuse({.channels = 4, .shift_size = -1}, {"shift_size = (-1, -1)"});
  refuse({.channels = 4, .height = 4}, {"(4, 0)"});
  expect_error<OptionError>([&] { WindowAttentionV2<float>({.channels = 6, .num_heads = 4}, rng); },
                            {"num_heads = 4", "channels = 6"});
  expect_error<OptionError>(
      [&] {
        WindowAttentionV2<float>({.channels = 4, .pretrained_window_size = {6, -1}}, rng);
      },
      {"pretrained_window_size = (6, -1)"});
}

}  // namespace
}  // namespace window_attention_test
