#include <gtest/gtest.h>

#include "attend/attention/bam.hpp"
#include "attend/attention/channel/context_encoding.hpp"
#include "attend/attention/channel/contrast_aware_attention.hpp"
#include "attend/attention/channel/coordinate_attention.hpp"
#include "attend/attention/channel/danet_channel_attention.hpp"
#include "attend/attention/channel/efficient_channel_attention.hpp"
#include "attend/attention/channel/efficient_local_attention.hpp"
#include "attend/attention/channel/gather_excite.hpp"
#include "attend/attention/channel/global_context.hpp"
#include "attend/attention/channel/global_response_norm.hpp"
#include "attend/attention/channel/residual_encoding.hpp"
#include "attend/attention/channel/selective_kernel.hpp"
#include "attend/attention/channel/simple_coordinate_attention.hpp"
#include "attend/attention/channel/split_attention.hpp"
#include "attend/attention/channel/strip_attention.hpp"
#include "attend/attention/light_cbam.hpp"
#include "attend/attention/scse.hpp"
#include "attend/attention/simam.hpp"
#include "attend/attention/triplet_attention.hpp"
#include "attend/testing/gradient_check.hpp"
#include "attend/train/semantic_encoding.hpp"
#include "error_of.hpp"

namespace channel_attention_test {
namespace {
using namespace attend;
using attend::testing::random_tensor;

template <class Layer>
std::string named(const Layer& layer) {
  std::string text;
  for (const auto& p : parameters<float>(layer)) {
    text += p.name + "(";
    for (const Index extent : p->shape()) text += std::to_string(extent) + ",";
    text += ") ";
  }
  return text;
}
template <class Layer>
void set(Layer& layer, const std::string& name, double value) {
  auto values = parameter<double>(layer, name)->edit_flat();
  for (Index i = 0; i < values.size(); ++i) values(i) = value;
}
const auto image = random_tensor<float, 4>({2, 3, 4, 6}, 1);
Rng rng(3);

TEST(ChannelAttention, NamesAndShapesAreTimms) {
  using Eca = EfficientChannelAttention<float>;
  EXPECT_EQ(named(Eca({.channels = 64}, rng)), "conv.weight(1,1,3,) ");
  EXPECT_EQ(named(Eca({.channels = 64, .circular = true}, rng)), "conv.weight(1,1,3,) ");
  EXPECT_EQ(named(Eca({.channels = 64, .mlp = true}, rng)),
            "conv.weight(8,1,1,) conv.bias(8,) conv2.weight(1,8,3,) conv2.bias(1,) ");
  EXPECT_EQ(named(LightCbam<float>({.channels = 64}, rng)),
            "channel.fc1.weight(4,64,1,1,) channel.fc2.weight(64,4,1,1,) spatial.conv.conv.weight(1,1,7,7,) "
            "spatial.conv.bn.weight(1,) spatial.conv.bn.bias(1,) spatial.conv.bn.running_mean(1,) "
            "spatial.conv.bn.running_var(1,) spatial.conv.bn.num_batches_tracked() ");
  EXPECT_EQ(
      named(GlobalContext<float>({.channels = 64}, rng)),
      "conv_attn.weight(1,64,1,1,) conv_attn.bias(1,) mlp_scale.fc1.weight(8,64,1,1,) mlp_scale.fc1.bias(8,) "
      "mlp_scale.norm.weight(8,) mlp_scale.norm.bias(8,) mlp_scale.fc2.weight(64,8,1,1,) mlp_scale.fc2.bias(64,) ");
  EXPECT_EQ(named(GatherExcite<float>({.channels = 64}, rng)),
            "mlp.fc1.weight(4,64,1,1,) mlp.fc1.bias(4,) mlp.fc2.weight(64,4,1,1,) mlp.fc2.bias(64,) ");
  EXPECT_EQ(
      named(GatherExcite<float>({.channels = 8, .extent = 4, .extra_params = true, .mlp = false, .norm = false}, rng)),
      "gather.conv1.weight(8,1,3,3,) gather.conv2.weight(8,1,3,3,) ");
}

TEST(EfficientChannelAttention, KernelOfTheChannels) {
  const std::pair<Index, Index> rule[] = {{1, 3}, {16, 3}, {64, 3}, {128, 5}, {1024, 5}, {2048, 7}};
  for (const auto& [channels, kernel] : rule) EXPECT_EQ(efficient_channel_kernel(channels), kernel) << channels;
}

// By hand: three channels with means 1, 2 and 3 and a kernel (1, 10, 100) over left, own and right channel.
TEST(EfficientChannelAttention, ChannelsSeeTheirNeighbours) {
  Tensor<double, 4> x(1, 1, 1, 3);
  x.setValues({{{{1, 2, 3}}}});
  for (const bool circular : {false, true}) {
    EfficientChannelAttention<double> layer({.channels = 3, .circular = circular, .gate = Activation::identity}, rng);
    auto weight = parameter<double>(layer, "conv.weight")->edit_flat();
    weight(0) = 1, weight(1) = 10, weight(2) = 100;
    const auto y = layer(x);
    EXPECT_NEAR(y(0, 0, 0, 0), (circular ? 3 : 0) + 10 + 200, 1e-12);
    EXPECT_NEAR(y(0, 0, 0, 1), 2 * (1 + 20 + 300), 1e-12);
    EXPECT_NEAR(y(0, 0, 0, 2), 3 * (2 + 30 + (circular ? 100 : 0)), 1e-12);
  }
}

TEST(Trap, T28_EcaHasNoBiasInTimmAndMayHaveOneElsewhere) {
  EXPECT_EQ(named(EfficientChannelAttention<float>({.channels = 16}, rng)), "conv.weight(1,1,3,) ");
  EXPECT_EQ(named(EfficientChannelAttention<float>({.channels = 16, .bias = true}, rng)),
            "conv.weight(1,1,3,) conv.bias(1,) ");
}

// timm's LightCbam takes a gate and uses a sigmoid all the same; its goldens ask for another one. Here none can be
// asked for: with all weights zero both gates are 1/2.
TEST(Trap, T12_LightCbamHasSigmoidGates) {
  LightCbam<double> layer({.channels = 2}, rng);
  for (const char* weight : {"channel.fc1.weight", "channel.fc2.weight", "spatial.conv.conv.weight"})
    set(layer, weight, 0);
  Tensor<double, 4> x(1, 1, 1, 2);
  x.setValues({{{{4, -8}}}});
  EXPECT_EQ(layer(x)(0, 0, 0, 0), 1);
  EXPECT_EQ(layer(x)(0, 0, 0, 1), -2);
}

// One query that prefers large values of channel 0: the context is nearly that of the second position.
TEST(GlobalContext, ReadsWhereItsQueryLooks) {
  GlobalContext<double> layer({.channels = 2, .rd_channels = 1}, rng);
  auto query = parameter<double>(layer, "conv_attn.weight")->edit_flat();
  query(0) = std::log(3.0), query(1) = 0;
  Tensor<double, 4> x(1, 1, 2, 2);
  x.setValues({{{{0, 5}, {1, 9}}}});
  const Recording recording(layer);
  layer(x);
  const auto weights = recording.all<3, double>("weights");
  ASSERT_EQ(weights.size(), 1u);
  ASSERT_EQ(weights[0].shape(), (Shape<3>{1, 1, 2}));
  EXPECT_NEAR(weights[0].data()[1], 0.75, 1e-15);
}

/// What is computed in fewer passes without a tape is what a tape records, but for rounding; alone and in a batch it has
/// the same bits.
template <class Layer>
void expect_same_on_a_tape(const Layer& layer, const Tensor<float, 4>& x) {
  Tape<float> tape(Mode::evaluation);
  const auto recorded = layer(tape.want(tape.input(x)));
  const auto y = layer(x);
  for (Index i = 0; i < x.size(); ++i) ASSERT_NEAR(y.data()[i], recorded.data()[i], 2e-6) << i;
  const Index half = x.size() / 2;
  const auto alone =
      layer(Variable<float, 4>::borrow(x.data() + half, {1, x.dimension(1), x.dimension(2), x.dimension(3)}));
  for (Index i = 0; i < half; ++i) ASSERT_EQ(alone.data()[i], y.data()[half + i]) << i;
}
TEST(ChannelAttention, WithoutATapeIsAsOnOne) {
  for (const auto& [height, width, channels] : {std::array<Index, 3>{3, 4, 6}, {23, 31, 40}, {7, 7, 67}}) {
    const auto x = random_tensor<float, 4>({2, height, width, channels}, 1);
    expect_same_on_a_tape(GlobalContext<float>({.channels = channels}, rng), x);
    expect_same_on_a_tape(GlobalContext<float>({.channels = channels, .fuse_add = true}, rng), x);
    expect_same_on_a_tape(LightCbam<float>({.channels = channels, .rd_channels = 3}, rng), x);
    expect_same_on_a_tape(CoordinateAttention<float>({.channels = channels}, rng), x);
    expect_same_on_a_tape(EfficientLocalAttention<float>({.channels = channels}, rng), x);
  }
}

TEST(GlobalContext, AddingStartsFromTheIdentityUpToABias) {
  GlobalContext<double> layer({.channels = 6, .fuse_add = true, .fuse_scale = false}, rng);
  set(layer, "mlp_add.fc2.bias", 0);
  const auto x = random_tensor<double, 4>({2, 3, 4, 6}, 1);
  const auto y = layer(x);
  for (Index i = 0; i < x.size(); ++i) EXPECT_EQ(y.data()[i], x.data()[i]);
}

// timm's own class cannot be constructed; the goldens are those of its repaired constructor.
TEST(Trap, T29_GatherExciteWorks) {
  GatherExcite<double> layer({.channels = 1, .extent = 2, .mlp = false, .gate = Activation::identity}, rng);
  Tensor<double, 4> x(1, 3, 3, 1);
  x.setValues({{{{1}, {2}, {3}}, {{4}, {5}, {6}}, {{7}, {8}, {9}}}});
  const auto y = layer(x);  // windows of 3 x 3 around cells 0 and 2 of each axis, without the padding
  EXPECT_NEAR(y(0, 0, 0, 0), 1 * 3.0, 1e-14);
  EXPECT_NEAR(y(0, 1, 2, 0), 6 * 4.0, 1e-14);  // nearest: rows 0 and 1 take the first window, column 2 the second
  EXPECT_NEAR(y(0, 2, 2, 0), 9 * 7.0, 1e-14);
}

TEST(GlobalResponseNorm, StartsAsTheIdentity) {
  const GlobalResponseNorm<float> layer({.channels = 6});
  const auto y = layer(image);
  for (Index i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], image.data()[i]);
}

// By hand: norms 5 and 0, their mean 2.5.
TEST(GlobalResponseNorm, WeighsByTheNormAmongChannels) {
  GlobalResponseNorm<double> layer({.channels = 2, .eps = 0.5});
  set(layer, "weight", 6), set(layer, "bias", 1);
  Tensor<double, 4> x(1, 1, 2, 2);
  x.setValues({{{{3, 0}, {4, 0}}}});
  const auto y = layer(x);
  EXPECT_NEAR(y(0, 0, 1, 0), 4 + 6 * 4 * (5 / 3.0) + 1, 1e-13);
  EXPECT_EQ(y(0, 0, 1, 1), 1);
}

/// The gradient of sum(layer(x)) by x.
template <class Layer>
std::vector<double> gradient_at(const Layer& layer, const Tensor<double, 4>& x) {
  Rng stream(1);
  Tape<double> tape(Mode::evaluation, stream);
  const auto in = tape.want(tape.input(x));
  const auto gradients = tape.backward(sum(layer(in)));
  const auto of_x = gradients.of(in);
  return {of_x.data(), of_x.data() + of_x.size()};
}
// PyTorch's 0.5-th power has an infinite slope here, which makes NaN of IMDN's gradient; torch.norm and torch.std take 0.
TEST(ChannelAttention, AConstantMapHasAFiniteGradient) {
  GlobalResponseNorm<double> response({.channels = 6});
  set(response, "weight", 1);
  const ContrastAwareAttention<double> contrast({.channels = 6, .reduction = 2}, rng);
  Tensor<double, 4> zeros(1, 2, 3, 6), ones(1, 2, 3, 6);
  zeros.setZero(), ones.setConstant(1);
  for (const double g : gradient_at(response, zeros)) EXPECT_EQ(g, 1);
  for (const double g : gradient_at(contrast, ones)) EXPECT_TRUE(std::isfinite(g));
}

TEST(Encoding, NamesAndShapesArePyTorchEncodings) {
  const std::string names = named(ContextEncoding<float>({.channels = 16, .classes = 5, .codewords = 4}, rng));
  for (const char* part :
       {"encoding.0.weight(16,16,1,1,)", "encoding.1.weight(16,) encoding.1.bias(16,)",
        "encoding.3.codewords(4,16,) encoding.3.scale(4,)", "encoding.4.weight(4,) encoding.4.bias(4,)",
        "fc.0.weight(16,16,) fc.0.bias(16,)", "selayer.weight(5,16,) selayer.bias(5,)"})
    EXPECT_NE(names.find(part), std::string::npos) << names << " lacks " << part;
  EXPECT_EQ(names.find("encoding.0.bias"), std::string::npos);
}
TEST(Encoding, StartsAsPyTorchEncodings) {
  const ResidualEncoding<double> layer({.channels = 4, .codewords = 9}, rng);
  const auto codewords = parameter<double>(layer, "codewords"), scale = parameter<double>(layer, "scale");
  for (Index i = 0; i < 36; ++i) EXPECT_LE(std::abs(codewords->data()[i]), 1.0 / 6);
  for (Index k = 0; k < 9; ++k) EXPECT_TRUE(scale->data()[k] >= -1 && scale->data()[k] <= 0);
}

// One number 0 between codewords -1 and 2 of scales -1 and -1: its squared distances are 1 and 4, and the nearer
// codeword gets more. A minus before the scale would turn that round.
TEST(Trap, T17_EncodingHasItsSignInTheScaleAndTheTrueGradient) {
  ResidualEncoding<double> layer({.channels = 1, .codewords = 2}, rng);
  auto words = parameter<double>(layer, "codewords")->edit_flat();
  words(0) = -1, words(1) = 2;
  set(layer, "scale", -1);
  Tensor<double, 4> x(1, 1, 1, 1);
  x.setZero();
  const Recording recording(layer);
  const auto y = layer(x);
  const double nearer = 1 / (1 + std::exp(-3));
  EXPECT_NEAR(y(0, 0, 0), nearer * 1, 1e-14);
  EXPECT_NEAR(y(0, 1, 0), (1 - nearer) * -2, 1e-14);
  const auto shares = recording.all<3, double>("weights");
  ASSERT_EQ(shares.size(), 1u);
  ASSERT_EQ(shares[0].shape(), (Shape<3>{1, 2, 1}));
  EXPECT_NEAR(shares[0].data()[0], nearer, 1e-14);
  // the codewords' gradient against differences, at positions that have a share of each
  ResidualEncoding<double> other({.channels = 3, .codewords = 4}, rng);
  set(other, "scale", 0);  // where dividing by the scale would give NaN
  const auto report = attend::testing::check_gradients(
      other, [&](const auto& in) { return other(in); }, random_tensor<double, 4>({2, 2, 3, 3}, 5));
  EXPECT_TRUE(report.ok()) << report.text();
}

// The norm over codewords of (batch, codewords, channels) has one mean per codeword, not per channel.
TEST(Trap, T18_EncModuleNormalisesEachCodeword) {
  ContextEncoding<double> layer({.channels = 6, .codewords = 4}, rng);
  for (const auto& p : parameters<double>(layer))
    if (p.name.rfind("encoding.4.", 0) == 0 && p->shape().size() == 1) {
      EXPECT_EQ(p->shape()[0], 4) << p.name;
    }
  const auto y = layer(random_tensor<double, 4>({2, 3, 4, 6}, 1));
  EXPECT_EQ(y.features.dimension(3), 6);
  EXPECT_EQ(y.class_logits.dimension(1), 0);
}

TEST(Encoding, ClassesAreThoseOfTheLabels) {
  Tensor<int, 3> labels(2, 1, 3);
  labels.setValues({{{2, 0, 2}}, {{-1, 1, 1}}});
  const auto present = class_presence<double>(labels, 3, -1);
  const double expected[] = {1, 0, 1, 0, 1, 0};
  for (Index i = 0; i < 6; ++i) EXPECT_EQ(present.data()[i], expected[i]);
  const Tensor<double, 2> logits = random_tensor<double, 2>({2, 3}, 3);
  double loss = 0;
  for (Index i = 0; i < 6; ++i)
    loss += std::log(1 + std::exp(expected[i] > 0 ? -logits.data()[i] : logits.data()[i])) / 6;
  EXPECT_NEAR(*semantic_encoding_loss(Variable<double, 2>(logits), labels, -1).data(), loss, 1e-14);
  expect_error<ShapeError>([&] { class_presence(labels, 2, -1); }, {"label 2", "[0, 2)"});
  expect_error<ShapeError>([&] { class_presence(labels, 3); }, {"label -1"});
  expect_error<OptionError>([&] { class_presence(labels, 0); }, {"classes = 0"});
}

// The halves of BAM, scSE's two maps and triplet's three branches, each with weights of zero: known gates.
TEST(SpatialAndChannelGates, WithoutWeights) {
  Tensor<double, 4> x = random_tensor<double, 4>({2, 3, 4, 6}, 1);
  const auto zeroed = [](auto layer) {
    for (const auto& p : parameters<double>(layer))
      if (p->kind() == Kind::parameter && p.name.find("bn") == std::string::npos) p->edit_flat().setZero();
    return layer;
  };
  const auto bam = zeroed(Bam<double>({.channels = 6, .reduction = 2}, rng))(x);
  const auto scse = zeroed(Scse<double>({.channels = 6, .reduction = 2}, rng))(x);
  const auto larger = zeroed(Scse<double>({.channels = 6, .reduction = 2, .fusion = ScseFusion::maximum}, rng))(x);
  const auto triplet = zeroed(TripletAttention<double>({}, rng))(x);
  for (Index i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(bam.data()[i], 1.5 * x.data()[i], 1e-15);
    EXPECT_NEAR(scse.data()[i], x.data()[i], 1e-15);
    EXPECT_NEAR(larger.data()[i], 0.5 * x.data()[i], 1e-15);
    EXPECT_NEAR(triplet.data()[i], 0.5 * x.data()[i], 1e-15);
  }
}

// The dilated convolutions keep the size of every map: padding equals dilation. (External-Attention-pytorch pads by 1.)
TEST(Trap, T22_BamKeepsTheSizeForEveryDilation) {
  for (const Index dilation : {1, 2, 4, 9}) {
    const Bam<float> layer({.channels = 6, .reduction = 2, .dilation = dilation}, rng);
    const Recording recording(layer);
    layer(image);
    EXPECT_EQ(recording.all<4>("gate").at(0).shape(), (Shape<4>{2, 3, 4, 6})) << dilation;
  }
}
TEST(Bam, NamesAreTheAuthors) {
  const std::string names = named(Bam<float>({.channels = 32}, rng));
  for (const char* part :
       {"channel_att.gate_c.gate_c_fc_0.weight(2,32,)", "channel_att.gate_c.gate_c_bn_1.running_var(2,)",
        "channel_att.gate_c.gate_c_fc_final.bias(32,)", "spatial_att.gate_s.gate_s_conv_reduce0.weight(2,32,1,1,)",
        "spatial_att.gate_s.gate_s_bn_reduce0.weight(2,)", "spatial_att.gate_s.gate_s_conv_di_1.weight(2,2,3,3,)",
        "spatial_att.gate_s.gate_s_bn_di_1.bias(2,)", "spatial_att.gate_s.gate_s_conv_final.weight(1,2,1,1,)"})
    EXPECT_NE(names.find(part), std::string::npos) << names << " lacks " << part;
}
TEST(Scse, NamesAreThoseOfSegmentationModels) {
  EXPECT_EQ(named(Scse<float>({.channels = 32}, rng)),
            "cSE.1.weight(2,32,1,1,) cSE.1.bias(2,) cSE.3.weight(32,2,1,1,) cSE.3.bias(32,) sSE.0.weight(1,32,1,1,) "
            "sSE.0.bias(1,) ");
}

// By hand: 1, 2 and 6 have mean 3 and variance 14 / 2.
TEST(SimAm, FollowsTheFormula) {
  Tensor<double, 4> x(1, 1, 3, 1);
  x.setValues({{{{1}, {2}, {6}}}});
  const auto y = SimAm({.lambda = 1})(x);
  EXPECT_NEAR(y(0, 0, 2, 0), 6 / (1 + std::exp(-(9.0 / 32 + 0.5))), 1e-14);
}

// Triplet attention concatenates [maximum, mean], CBAM the other way round.
TEST(Trap, TripletReadsMaximumThenMean) {
  TripletAttention<double> layer({.kernel_size = 1}, rng);
  for (const char* branch : {"cw", "hc", "hw"}) {
    auto weight = parameter<double>(layer, std::string(branch) + ".conv.conv.weight")->edit_flat();
    weight(0) = 1, weight(1) = 0;  // reads the first only
  }
  Tensor<double, 4> x(1, 1, 1, 2);
  x.setValues({{{{4, 2}}}});
  const auto gate = [](double pooled) { return 1 / (1 + std::exp(-pooled / std::sqrt(1 + 1e-5))); };
  EXPECT_NEAR(layer(x)(0, 0, 0, 1), 2 * (gate(2) + gate(2) + gate(4)) / 3, 1e-14);
}

// By hand: channels (1, 0) and (0, 2); their products are 1, 0 and 4, so each attends to the other.
TEST(DanetChannelAttention, UnlikeChannelsAttendToEachOther) {
  DanetChannelAttention<double> layer({.channels = 2});
  set(layer, "gamma", 1);
  Tensor<double, 4> x(1, 1, 2, 2);
  x.setValues({{{{1, 0}, {0, 2}}}});
  const Recording recording(layer);
  const auto y = layer(x);
  const auto weights = recording.all<3, double>("weights")[0];
  EXPECT_NEAR(weights.data()[1], 1 / (1 + std::exp(-1)), 1e-15);
  EXPECT_NEAR(weights.data()[2], 1 / (1 + std::exp(-4)), 1e-15);
  EXPECT_NEAR(y(0, 0, 0, 0), 1 + weights.data()[0], 1e-15);
  EXPECT_NEAR(y(0, 0, 1, 0), 2 * weights.data()[1], 1e-15);
}
TEST(DanetChannelAttention, StartsAsTheIdentity) {
  const DanetChannelAttention<float> layer({.channels = 6});
  const auto y = layer(image);
  for (Index i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], image.data()[i]);
}

// The shares of a channel add up to one over its branches.
TEST(SplitAttention, ChoosesAmongItsBranches) {
  SplitAttention<float> layer({.channels = 6, .rd_channels = 3}, rng);
  const Recording recording(layer);
  layer(image);
  const auto gate = recording.all<3>("gate")[0];
  ASSERT_EQ(gate.shape(), (Shape<3>{2, 2, 6}));
  for (Index b = 0; b < 2; ++b)
    for (Index c = 0; c < 6; ++c) EXPECT_NEAR(gate.data()[(b * 2) * 6 + c] + gate.data()[(b * 2 + 1) * 6 + c], 1, 1e-6);
}
TEST(SelectiveKernel, ChoosesAmongItsPaths) {
  SelectiveKernel<float> layer({.channels = 6, .rd_channels = 3}, rng);
  const Recording recording(layer);
  layer(image);
  const auto gate = recording.all<3>("gate")[0];
  ASSERT_EQ(gate.shape(), (Shape<3>{2, 2, 6}));
  for (Index b = 0; b < 2; ++b)
    for (Index c = 0; c < 6; ++c) EXPECT_NEAR(gate.data()[(b * 2) * 6 + c] + gate.data()[(b * 2 + 1) * 6 + c], 1, 1e-6);
}

// Every row and every column has its own gate, of its own mean.
TEST(StripAttention, FollowsTheFormula) {
  const StripAttention<double> layer({.channels = 1, .conv = false, .gate = Activation::identity}, rng);
  Tensor<double, 4> x(1, 2, 2, 1);
  x.setValues({{{{1}, {3}}, {{5}, {11}}}});
  const auto y = layer(x);
  EXPECT_NEAR(y(0, 0, 1, 0), 3 * (2 + 7), 1e-14);
  EXPECT_NEAR(y(0, 1, 0, 0), 5 * (8 + 3), 1e-14);
}

template <class Layer>
void expect_channel_gate(const Layer& layer, const char* name = "gate") {
  const Recording recording(layer);
  const auto y = layer(image);
  const auto gates = recording.all<2>(name);
  ASSERT_EQ(gates.size(), 1u);
  ASSERT_EQ(gates[0].shape(), (Shape<2>{2, 6}));
  for (Index b = 0; b < 2; ++b)
    for (Index c = 0; c < 6; ++c) EXPECT_EQ(y(b, 1, 2, c), image(b, 1, 2, c) * gates[0].data()[b * 6 + c]);
}
TEST(ChannelAttention, OffersItsGate) {
  expect_channel_gate(EfficientChannelAttention<float>({.channels = 6}, rng));
  expect_channel_gate(EfficientChannelAttention<float>({.channels = 6, .mlp = true}, rng));
  expect_channel_gate(GlobalContext<float>({.channels = 6}, rng));
  expect_channel_gate(GatherExcite<float>({.channels = 6}, rng));
  expect_channel_gate(GlobalResponseNorm<float>({.channels = 6}));
  expect_channel_gate(ContrastAwareAttention<float>({.channels = 6, .reduction = 2}, rng));
  const GatherExcite<float> windows({.channels = 6, .extent = 2}, rng);
  const LightCbam<float> light({.channels = 6}, rng);
  const Recording of_windows(windows), of_light(light);
  windows(image), light(image);
  ASSERT_EQ(of_windows.all<4>("gate").size(), 1u);
  EXPECT_EQ(of_windows.all<4>("gate")[0].shape(), (Shape<4>{2, 2, 2, 6}));
  EXPECT_EQ(of_light.all<2>("channel.gate").size(), 1u);
  ASSERT_EQ(of_light.all<4>("spatial.gate").size(), 1u);
  EXPECT_EQ(of_light.all<4>("spatial.gate")[0].shape(), (Shape<4>{2, 3, 4, 1}));
}

template <class Layer>
void expect_strip_gates(const Layer& layer) {
  const Recording recording(layer);
  const auto y = layer(image);
  const auto rows = recording.all<4>("row_gate"), columns = recording.all<4>("column_gate");
  ASSERT_EQ(rows.size(), 1u);
  ASSERT_EQ(columns.size(), 1u);
  ASSERT_EQ(rows[0].shape(), (Shape<4>{2, 3, 1, 6}));
  ASSERT_EQ(columns[0].shape(), (Shape<4>{2, 1, 4, 6}));
  EXPECT_FLOAT_EQ(y(1, 2, 3, 5), image(1, 2, 3, 5) * rows[0].data()[35] * columns[0].data()[47]);
}
TEST(StripAttention, OffersItsGates) {
  expect_strip_gates(CoordinateAttention<float>({.channels = 6}, rng));
  expect_strip_gates(EfficientLocalAttention<float>({.channels = 6}, rng));
  const StripAttention<float> strip({.channels = 6}, rng);
  const SimpleCoordinateAttention<float> simple({.channels = 6}, rng);
  const Recording of_strip(strip), of_simple(simple);
  const auto y = strip(image), z = simple(image);
  EXPECT_EQ(y(1, 2, 3, 5), image(1, 2, 3, 5) * of_strip.all<4>("gate").at(0).data()[143]);
  EXPECT_EQ(z(1, 2, 3, 5), image(1, 2, 3, 5) * of_simple.all<4>("gate").at(0).data()[143]);
}

TEST(SpatialAndChannelGates, OfferTheirGates) {
  const Bam<float> bam({.channels = 6, .reduction = 2}, rng);
  const Scse<float> scse({.channels = 6, .reduction = 2}, rng);
  const TripletAttention<float> triplet({}, rng);
  const SimAm simam;
  const Recording of_bam(bam), of_scse(scse), of_triplet(triplet), of_simam(simam);
  const auto y = bam(image), z = scse(image), t = triplet(image), s = simam(image);
  const Index last = image.size() - 1;
  const float x = image.data()[last];
  EXPECT_FLOAT_EQ(y.data()[last], x * (1 + of_bam.all<4>("gate").at(0).data()[last]));
  const auto channel = of_scse.all<2>("channel_gate").at(0);
  const auto position = of_scse.all<4>("spatial_gate").at(0);
  EXPECT_FLOAT_EQ(z.data()[last], x * (channel.data()[11] + position.data()[23]));
  const auto columns = of_triplet.all<4>("column_gate").at(0), rows = of_triplet.all<4>("row_gate").at(0);
  const auto positions = of_triplet.all<4>("spatial_gate").at(0);
  ASSERT_EQ(columns.shape(), (Shape<4>{2, 1, 4, 6}));
  ASSERT_EQ(rows.shape(), (Shape<4>{2, 3, 1, 6}));
  ASSERT_EQ(positions.shape(), (Shape<4>{2, 3, 4, 1}));
  EXPECT_FLOAT_EQ(t.data()[last], x * (columns.data()[47] + rows.data()[35] + positions.data()[23]) / 3);
  EXPECT_FLOAT_EQ(s.data()[last], x * of_simam.all<4>("gate").at(0).data()[last]);
}

template <class Layer>
void expect_channels_checked(const Layer& layer) {
  expect_error<ShapeError>([&] { layer(Tensor<float, 4>(2, 3, 4, 7)); }, {"(2, 3, 4, 7)", "channels = 6"});
}
template <class Layer>
void expect_positions_checked(const Layer& layer) {
  expect_error<ShapeError>([&] { layer(Tensor<float, 4>(2, 0, 4, 6)); }, {"(2, 0, 4, 6)"});
}
TEST(BadInput, ChannelAttention) {
  using Eca = EfficientChannelAttention<float>;
  const Eca eca({.channels = 6}, rng);
  const LightCbam<float> light({.channels = 6}, rng);
  const GlobalContext<float> context({.channels = 6}, rng);
  const GatherExcite<float> gather({.channels = 6}, rng), windows({.channels = 6, .extent = 2}, rng);
  expect_channels_checked(eca), expect_channels_checked(light), expect_channels_checked(context);
  expect_channels_checked(gather), expect_channels_checked(windows);
  expect_positions_checked(eca), expect_positions_checked(light), expect_positions_checked(context);
  expect_positions_checked(gather), expect_positions_checked(windows);
  expect_error<OptionError>([&] { Eca({.channels = 0}, rng); }, {"channels = 0"});
  expect_error<OptionError>([&] { Eca({.channels = 8, .kernel_size = 4}, rng); }, {"kernel_size = 4"});
  expect_error<OptionError>([&] { Eca({.channels = 8, .kernel_size = -3}, rng); }, {"kernel_size = -3"});
  expect_error<OptionError>([&] { Eca({.channels = 8, .gamma = 0}, rng); }, {"gamma = 0"});
  expect_error<OptionError>([&] { Eca({.channels = 2, .kernel_size = 7, .circular = true}, rng); },
                            {"kernel_size = 7", "2 channels"});
  expect_error<OptionError>([&] { Eca({.channels = 8, .mlp = true, .rd_divisor = 0}, rng); }, {"rd_divisor = 0"});
  expect_error<OptionError>([&] { LightCbam<float>({.channels = 8, .spatial_kernel_size = 2}, rng); },
                            {"kernel_size = 2"});
  expect_error<OptionError>([&] { LightCbam<float>({.channels = -8}, rng); }, {"channels = -8"});
  expect_error<OptionError>([&] { GlobalContext<float>({.channels = 8, .fuse_scale = false}, rng); },
                            {"fuse_add", "fuse_scale"});
  expect_error<OptionError>([&] { GlobalContext<float>({.channels = 8, .rd_ratio = -1}, rng); }, {"rd_ratio = -1"});
  expect_error<OptionError>([&] { GatherExcite<float>({.channels = 8, .extent = 3}, rng); }, {"extent = 3"});
  expect_error<OptionError>([&] { GatherExcite<float>({.channels = 8, .extent = -2}, rng); }, {"extent = -2"});
  expect_error<OptionError>([&] { GatherExcite<float>({.channels = 8, .extra_params = true}, rng); },
                            {"feature_size = (0, 0)"});
}

TEST(BadInput, ChoicesAndStrips) {
  const SelectiveKernel<float> sk({.channels = 6}, rng);
  const SplitAttention<float> splat({.channels = 6}, rng);
  const CoordinateAttention<float> coordinate({.channels = 6}, rng);
  const SimpleCoordinateAttention<float> simple({.channels = 6}, rng);
  const EfficientLocalAttention<float> local({.channels = 6}, rng);
  const StripAttention<float> strip({.channels = 6}, rng);
  const GlobalResponseNorm<float> response({.channels = 6});
  const ContrastAwareAttention<float> contrast({.channels = 6, .reduction = 2}, rng);
  const DanetChannelAttention<float> danet({.channels = 6});
  const auto check = [](const auto&... layer) {
    (expect_channels_checked(layer), ...), (expect_positions_checked(layer), ...);
  };
  check(sk, splat, coordinate, simple, local, strip, response, contrast, danet);
  using Sk = SelectiveKernel<float>;
  expect_error<OptionError>([&] { Sk({.channels = 7}, rng); }, {"2 paths", "channels = 7"});
  expect_error<OptionError>([&] { Sk({.channels = 8, .kernel_sizes = {3, 4}}, rng); }, {"a kernel size is 4"});
  expect_error<OptionError>([&] { Sk({.channels = 8, .kernel_sizes = {}}, rng); }, {"0 paths"});
  expect_error<OptionError>([&] { Sk({.channels = 8, .groups = 0}, rng); }, {"groups = 0"});
  expect_error<OptionError>([&] { Sk({.channels = 8, .groups = 3}, rng); }, {"groups is 3", "in_channels = 4"});
  expect_error<OptionError>([&] { Sk({.channels = 8, .rd_ratio = 0}, rng); }, {"rd_ratio = 0"});
  using Splat = SplitAttention<float>;
  expect_error<OptionError>([&] { Splat({.channels = 7}, rng); }, {"radix = 2", "channels = 7"});
  expect_error<OptionError>([&] { Splat({.channels = 8, .out_channels = 7, .groups = 2}, rng); },
                            {"groups = 2", "out_channels = 7"});
  expect_error<OptionError>([&] { Splat({.channels = 9, .groups = 3, .radix = 1, .rd_channels = 4}, rng); },
                            {"groups = 3", "hidden channels 4"});
  expect_error<OptionError>([&] { Splat({.channels = 8, .radix = 0}, rng); }, {"radix = 0"});
  expect_error<OptionError>([&] { Splat({.channels = 0}, rng); }, {"channels = 0"});
  expect_error<OptionError>([] { encoding_split_attention(8, 0); }, {"radix = 0"});
  expect_error<OptionError>([&] { CoordinateAttention<float>({.channels = 8, .rd_divisor = 0}, rng); },
                            {"rd_divisor = 0"});
  expect_error<OptionError>([&] { SimpleCoordinateAttention<float>({.channels = 8, .se_factor = 0}, rng); },
                            {"rd_ratio = 0"});
  expect_error<OptionError>([&] { EfficientLocalAttention<float>({.channels = 8, .kernel_size = 4}, rng); },
                            {"kernel_size = 4"});
  expect_error<OptionError>([&] { StripAttention<float>({.channels = 8, .kernel_size = 0}, rng); },
                            {"kernel_size = 0"});
  expect_error<OptionError>([] { GlobalResponseNorm<float>({.channels = 8, .eps = 0}); }, {"eps = 0"});
  expect_error<OptionError>([&] { ContrastAwareAttention<float>({.channels = 8}, rng); },
                            {"reduction = 16", "channels = 8"});
  expect_error<OptionError>([] { DanetChannelAttention<float>({.channels = 0}); }, {"channels = 0"});
}

TEST(BadInput, SpatialAndChannelGates) {
  const Bam<float> bam({.channels = 6, .reduction = 2}, rng);
  const Scse<float> scse({.channels = 6, .reduction = 2}, rng);
  const TripletAttention<float> triplet({}, rng);
  const ContextEncoding<float> context({.channels = 6}, rng);
  const ResidualEncoding<float> encoding({.channels = 6, .codewords = 2}, rng);
  expect_channels_checked(bam), expect_channels_checked(scse), expect_channels_checked(context);
  expect_channels_checked(encoding);
  expect_positions_checked(bam), expect_positions_checked(scse), expect_positions_checked(context);
  expect_positions_checked(triplet), expect_positions_checked(SimAm());
  expect_error<ShapeError>([] { SimAm()(Tensor<float, 4>(2, 1, 1, 6)); }, {"(2, 1, 1, 6)", "two positions"});
  expect_error<ShapeError>([&] { triplet(Tensor<float, 4>(2, 3, 4, 0)); }, {"(2, 3, 4, 0)"});
  expect_error<OptionError>([&] { Bam<float>({.channels = 8}, rng); }, {"reduction = 16", "channels = 8"});
  expect_error<OptionError>([&] { Bam<float>({.channels = 32, .dilation = 0}, rng); }, {"dilation = 0"});
  expect_error<OptionError>([&] { Scse<float>({.channels = 8, .reduction = 0}, rng); }, {"reduction = 0"});
  expect_error<OptionError>([] { SimAm({.lambda = 0}); }, {"lambda = 0"});
  expect_error<OptionError>([&] { TripletAttention<float>({.kernel_size = 2}, rng); }, {"kernel_size = 2"});
  expect_error<OptionError>([&] { ResidualEncoding<float>({.channels = 6}, rng); }, {"codewords = 0"});
  expect_error<OptionError>([&] { ContextEncoding<float>({.channels = 6, .classes = -1}, rng); }, {"classes = -1"});
}

}  // namespace
}  // namespace channel_attention_test
