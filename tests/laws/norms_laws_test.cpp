#include <gtest/gtest.h>

#include "attend/layers/batch_norm.hpp"
#include "attend/layers/group_norm.hpp"
#include "attend/layers/instance_norm.hpp"
#include "attend/layers/layer_norm.hpp"
#include "attend/layers/rms_norm.hpp"
#include "attend/testing/layer_laws.hpp"

namespace norms_laws_test {
using namespace attend;
using namespace attend::testing;

namespace {
const auto maps = random_tensor<double, 4>({3, 4, 5, 6}, 1);
/// Several units of work for the threads, the last one not whole.
const auto large = random_tensor<double, 4>({3, 37, 41, 6}, 3);
const auto sequences = random_tensor<double, 3>({3, 5, 6}, 2);
LawOptions evaluation() {
  LawOptions o;
  o.gradient.mode = Mode::evaluation;
  return o;
}
}  // namespace

TEST(Laws, BatchNorm) {
  const auto make = [](auto s, Rng&) { return BatchNorm<decltype(s)>({.channels = 6}); };
  for (const auto& x : {maps, large}) EXPECT_EQ(text(broken_laws(make, x)), "");
  EXPECT_EQ(text(broken_laws(evaluation(), make, sequences)), "");
}
TEST(Laws, BatchNormWithoutRunningStatistics) {
  LawOptions o;
  o.batch_independent = false;
  const auto make = [](auto s, Rng&) { return BatchNorm<decltype(s)>({.channels = 6, .track_running_stats = false}); };
  EXPECT_EQ(text(broken_laws(o, make, sequences)), "");
}
TEST(Laws, InstanceNorm) {
  const auto make = [](auto s, Rng&) { return InstanceNorm<decltype(s)>({.channels = 6, .affine = true}); };
  for (const auto& x : {maps, large}) EXPECT_EQ(text(broken_laws(make, x)), "");
}
TEST(Laws, GroupNorm) {
  const auto make = [](auto s, Rng&) { return GroupNorm<decltype(s)>({.num_groups = 2, .channels = 6}); };
  for (const auto& x : {maps, large}) EXPECT_EQ(text(broken_laws(make, x)), "");
}
TEST(Laws, LayerNorm) {
  const auto make = [](auto s, Rng&) { return LayerNorm<decltype(s)>({.normalized_shape = 6}); };
  for (const auto& x : {maps, large}) EXPECT_EQ(text(broken_laws(make, x)), "");
}
TEST(Laws, LayerNormOverTwoAxes) {
  const auto make = [](auto s, Rng&) { return LayerNorm<decltype(s), 2>({.normalized_shape = {5, 6}}); };
  EXPECT_EQ(text(broken_laws(make, sequences)), "");
}
TEST(Laws, RmsNorm) {
  const auto make = [](auto s, Rng&) { return RmsNorm<decltype(s)>({.normalized_shape = 6}); };
  for (const auto& x : {maps, large}) EXPECT_EQ(text(broken_laws(make, x)), "");
}
}  // namespace norms_laws_test
