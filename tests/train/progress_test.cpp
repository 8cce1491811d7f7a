#include "attend/train/progress.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include "attend/train/finite.hpp"
#include "attend/train/interrupt.hpp"

namespace progress_test {
using namespace attend;

namespace {
struct Screen {
  std::ostringstream out;
  double now = 1000;
  ProgressOptions options(int terminal) {
    return {.label = "epoch 1/2", .out = &out, .terminal = terminal, .width = 90, .clock = [this] { return now; }};
  }
};

TEST(Progress, BarWithEverything) {
  Screen s;
  {
    ProgressBar bar(1000, s.options(1));
    s.now += 2;
    bar.advance(250, {.loss = 0.34216, .accuracy = 0.8812});
    EXPECT_EQ(s.out.str(),
              "\repoch 1/2 [====            ]  25 %  loss 0.3422  accuracy 88.1 %  125 images/s  0:06 left\x1b[K");
    EXPECT_LT(s.out.str().size(), 90u + 4 + 6);
    s.out.str("");
    bar.advance(1);  // too soon: nothing is drawn
    EXPECT_EQ(s.out.str(), "");
    s.now += 6;
    bar.advance(749);
    bar.finish();
    bar.finish();
    EXPECT_EQ(s.out.str().substr(s.out.str().rfind('\r')), "\repoch 1/2  125 images/s  0:08\x1b[K\n");
    s.out.str("");
  }
  EXPECT_EQ(s.out.str(), "");
}

TEST(Progress, PlainLinesNowAndThen) {
  Screen s;
  ProgressBar bar(100, s.options(0));
  for (int i = 0; i < 100; ++i) {
    s.now += 0.25;
    bar.advance(1, {.loss = 1});
  }
  bar.finish();
  EXPECT_EQ(s.out.str(),
            "epoch 1/2  40 %  loss 1.0000  4.00 images/s  0:15 left\n"
            "epoch 1/2  80 %  loss 1.0000  4.00 images/s  0:05 left\n"
            "epoch 1/2  loss 1.0000  4.00 images/s  0:25\n");
}

TEST(Progress, AStreamThatIsNoTerminalGetsPlainLines) {
  Screen s;
  ProgressBar bar(10, s.options(-1));
  s.now += 60;
  bar.advance(5);
  EXPECT_EQ(s.out.str(), "epoch 1/2  50 %  0.08 images/s  1:00 left\n");
}

TEST(Progress, ResumedWorkDoesNotCountForTheRate) {
  Screen s;
  ProgressBar bar(100, s.options(0), 50);
  s.now += 10;
  bar.advance(10);
  EXPECT_EQ(s.out.str(), "epoch 1/2  60 %  1.00 images/s  0:40 left\n");
}

TEST(Progress, StoppedHalfWayEndsItsLine) {
  Screen s;
  {
    ProgressBar bar(10, s.options(1));
    s.now += 1, bar.advance(3);
  }
  EXPECT_EQ(s.out.str().back(), '\n');
  s.out.str("");
  { ProgressBar untouched(0, s.options(1)); }
  EXPECT_EQ(s.out.str(), "");
  ProgressBar nothing(0, s.options(0));
  s.now += 20;
  nothing.advance(0);
  EXPECT_EQ(s.out.str(), "epoch 1/2 100 %\n");
}

TEST(Progress, NarrowTerminalsDropTheBarThenTheEnd) {
  Screen s;
  auto options = s.options(1);
  options.width = 20;
  ProgressBar bar(10, options);
  s.now += 1;
  bar.advance(5, {.loss = 1});
  EXPECT_EQ(s.out.str(), "\repoch 1/2  50 %  lo\x1b[K");
}

TEST(Progress, Durations) {
  EXPECT_EQ(ProgressBar::duration(0), "0:00");
  EXPECT_EQ(ProgressBar::duration(59.6), "1:00");
  EXPECT_EQ(ProgressBar::duration(3723), "1:02:03");
  EXPECT_EQ(ProgressBar::duration(std::nan("")), "?");
  EXPECT_EQ(ProgressBar::duration(-1), "?");
}

int handled = 0;
TEST(Interrupt, SetsAFlagAndRestoresTheHandlers) {
  std::signal(SIGINT, [](int) { ++handled; });
  {
    InterruptFlag interrupted;
    EXPECT_FALSE(interrupted);
    std::raise(SIGINT);
    EXPECT_TRUE(interrupted);
    EXPECT_EQ(interrupted.signal(), SIGINT);
    EXPECT_EQ(handled, 0);
  }
  std::raise(SIGINT);
  EXPECT_EQ(handled, 1);
  std::signal(SIGINT, SIG_DFL);
  InterruptFlag fresh;
  EXPECT_FALSE(fresh);
}

TEST(InterruptDeathTest, TheSecondSignalEndsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        InterruptFlag interrupted;
        std::raise(SIGINT);
        std::raise(SIGINT);
      },
      ::testing::KilledBySignal(SIGINT), "");
}

TEST(Finite, NamesTheStepAndTheLoss) {
  require_finite(0.5, 3);
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) EXPECT_THROW(require_finite(bad, 3), TrainingError);
  try {
    require_finite(Variable<float, 0>(Tensor<float, 0>(Shape<0>{}).setConstant(std::nanf(""))), 41);
    ADD_FAILURE();
  } catch (const TrainingError& e) {
    EXPECT_NE(std::string(e.what()).find("the loss of step 41 is nan"), std::string::npos) << e.what();
  }
  require_finite_gradients(3, 7);
  EXPECT_THROW(require_finite_gradients(HUGE_VAL, 7), TrainingError);
}
}  // namespace
}  // namespace progress_test
