#include "attend/train/metrics.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <sstream>

namespace metrics_test {
using namespace attend;

namespace {
Tensor<float, 2> scores() {
  Tensor<float, 2> x(4, 3);
  x.setValues({{1, 3, 2}, {5, 5, 5}, {-1, -2, 0}, {std::nanf(""), 1, 0}});
  return x;
}
Tensor<int, 1> labels(int a, int b, int c, int d) {
  Tensor<int, 1> y(4);
  y.setValues({a, b, c, d});
  return y;
}

TEST(Metrics, TopK) {
  EXPECT_EQ(count_correct(scores(), labels(1, 0, 2, 0)), 3);  // NaN is never right
  EXPECT_EQ(count_correct(scores(), labels(2, 1, 0, 0)), 0);
  EXPECT_EQ(count_correct(scores(), labels(2, 1, 0, 0), 2), 3);  // of equals the first counts as larger
  EXPECT_EQ(count_correct(scores(), labels(0, 2, 1, 2), 3), 4 - 0);
  EXPECT_EQ(accuracy(scores(), labels(1, 0, 2, 0)), 0.75);
  EXPECT_EQ(accuracy(Variable(scores()), labels(1, 0, 2, 0)), 0.75);
  EXPECT_TRUE(std::isnan(accuracy(Tensor<float, 2>(0, 3), Tensor<int, 1>(0))));
  // a NaN elsewhere counts as larger
  EXPECT_EQ(count_correct(scores(), labels(0, 1, 1, 1)), 0);
  const auto best = argmax(scores());
  EXPECT_EQ(best(0), 1);
  EXPECT_EQ(best(1), 0);
  EXPECT_EQ(best(2), 2);
}

TEST(Metrics, RunningMeanWeighsByCount) {
  RunningMean mean;
  EXPECT_TRUE(std::isnan(mean.mean()));
  mean.add(2, 3);
  mean.add(std::nan(""), 0);
  mean.add(4);
  EXPECT_EQ(mean.mean(), 2.5);
  EXPECT_EQ(mean.count(), 4);
  mean.reset();
  EXPECT_EQ(mean.count(), 0);
}

TEST(Metrics, ConfusionMatrixByHand) {
  ConfusionMatrix m(3);
  m.add(0, 0, 8);
  m.add(0, 1, 2);
  m.add(1, 1, 5);
  m.add(1, 0, 1);
  EXPECT_EQ(m.total(), 16);
  EXPECT_DOUBLE_EQ(m.accuracy(), 13.0 / 16);
  EXPECT_DOUBLE_EQ(m.precision(0), 8.0 / 9);
  EXPECT_DOUBLE_EQ(m.recall(0), 0.8);
  EXPECT_DOUBLE_EQ(m.f1(0), 2 * (8.0 / 9) * 0.8 / (8.0 / 9 + 0.8));
  EXPECT_DOUBLE_EQ(m.iou(0), 8.0 / 11);
  EXPECT_DOUBLE_EQ(m.mean_iou(), (8.0 / 11 + 5.0 / 8) / 2);  // the class that nobody saw or said does not count
  EXPECT_TRUE(std::isnan(m.iou(2)));
  EXPECT_TRUE(std::isnan(m.recall(2)));
  EXPECT_TRUE(std::isnan(m.precision(2)));
  std::ostringstream out;
  m.print(out, {"shirt", "trouser", "bag"});
  EXPECT_EQ(out.str(),
            "        0 1 2  recall\n"
            "  shirt 8 2 0  80.0 %\n"
            "trouser 1 5 0  83.3 %\n"
            "    bag 0 0 0       -\n");
  m.add_batch(Tensor<float, 2>(scores().slice(std::array<Index, 2>{0, 0}, std::array<Index, 2>{3, 3})), [] {
    Tensor<std::uint8_t, 1> y(3);
    y.setValues({1, 2, 2});
    return y;
  }());
  EXPECT_EQ(m.counts()(1, 1), 6);
  EXPECT_EQ(m.counts()(2, 0), 1);
  EXPECT_EQ(m.counts()(2, 2), 1);
}

TEST(BadInput, Metrics) {
  struct Row {
    const char* text;
    std::function<void()> call;
  };
  ConfusionMatrix m(3);
  const std::vector<Row> rows = {
      {"k is 0", [] { accuracy(scores(), labels(0, 0, 0, 0), 0); }},
      {"k is 4; it must lie in [1, 3]", [] { accuracy(scores(), labels(0, 0, 0, 0), 4); }},
      {"hold 3 at position 2", [] { accuracy(scores(), labels(0, 0, 3, 0)); }},
      {"hold -1 at position 0", [] { accuracy(scores(), labels(-1, 0, 0, 0)); }},
      {"labels have shape (5); scores (4, 3)", [] { accuracy(scores(), Tensor<int, 1>(5)); }},
      {"classes is 0", [] { ConfusionMatrix none(0); }},
      {"classes is -1", [] { ConfusionMatrix none(-1); }},
      {"label is 3", [&] { m.add(3, 0); }},
      {"predicted is -1", [&] { m.add(0, -1); }},
      {"class 7", [&] { m.recall(7); }},
      {"2 names for 3 classes",
       [&] {
         m.print(std::cout, {"a", "b"});
       }},
      {"(5); the scores need (4)", [&] { m.add_batch(scores(), Tensor<int, 1>(5)); }},
  };
  for (const Row& row : rows) try {
      row.call();
      ADD_FAILURE() << row.text << ": nothing was thrown";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(row.text), std::string::npos) << e.what();
    }
}
}  // namespace
}  // namespace metrics_test
