#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>
#include <string>
#if defined(__unix__) || defined(__APPLE__)
#include <sys/ioctl.h>
#include <unistd.h>
#endif

#include "attend/core/shape.hpp"

ATTEND_BEGIN

/// What a progress line shows beside the bar; NaN leaves a figure out.
struct ProgressFigures {
  double loss = std::nan("");
  double accuracy = std::nan("");  ///< in [0, 1]
};

struct ProgressOptions {
  std::string label;                  ///< before the bar: "epoch 3/10"
  std::string unit = "images";        ///< what the rate counts
  std::ostream* out = &std::cerr;     ///< std::cerr and std::cout are asked whether they are a terminal
  int terminal = -1;                  ///< 1: a bar that redraws itself, 0: plain lines, -1: as `out` is
  int width = 0;                      ///< columns of the bar's line; 0: the terminal's
  double seconds_between_lines = 10;  ///< at least, when plain
  /// Seconds since any moment.
  std::function<double()> clock = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
};

/// "epoch 3/10 [=====>    ]  52 %  loss 0.3421  accuracy 88.1 %  4210 images/s  0:31 left", redrawn in place on a
/// terminal, at most ten times a second; elsewhere a plain line now and then.
class ProgressBar {
 public:
  /// `total` things to do; `done` of them before the start (resumed).
  explicit ProgressBar(Index total, ProgressOptions options = {}, Index done = 0)
      : options_(std::move(options)), total_(total), before_(done), done_(done) {
    terminal_ = options_.terminal < 0 ? is_terminal() : options_.terminal != 0;
    start_ = options_.clock();
    last_ = terminal_ ? start_ - 1 : start_;
  }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() {
    if (drawn_ && !finished_) *options_.out << std::endl;  // stopped half way: leave the line as it is
  }

  /// `count` more things are done.
  void advance(Index count, const ProgressFigures& figures = {}) {
    done_ += count;
    figures_ = figures;
    const double now = options_.clock();
    if (now - last_ < (terminal_ ? 0.1 : options_.seconds_between_lines)) return;
    last_ = now;
    draw(now, false);
  }
  /// The last line, with the time taken.
  void finish() {
    if (finished_) return;
    draw(options_.clock(), true);
    finished_ = true;
  }

  /// "1:02:03", "4:05"
  static std::string duration(double seconds) {
    if (!(seconds >= 0) || seconds > 3.6e8) return "?";
    const auto all = static_cast<long>(seconds + 0.5);
    char text[32];
    if (all >= 3600)
      std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", all / 3600, all / 60 % 60, all % 60);
    else
      std::snprintf(text, sizeof text, "%ld:%02ld", all / 60, all % 60);
    return text;
  }

 private:
  bool is_terminal() const {
#if defined(__unix__) || defined(__APPLE__)
    if (options_.out->rdbuf() == std::cerr.rdbuf()) return ::isatty(STDERR_FILENO) == 1;
    if (options_.out->rdbuf() == std::cout.rdbuf()) return ::isatty(STDOUT_FILENO) == 1;
#endif
    return false;
  }
  int columns() const {
    if (options_.width > 0) return options_.width;
#if defined(__unix__) || defined(__APPLE__)
    struct winsize size {};
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
#endif
    return 100;
  }
  std::string figures(double now, bool end) const {
    char text[64];
    std::string line;
    const auto append = [&](const char* format, double value) {
      std::snprintf(text, sizeof text, format, value);
      line += text;
    };
    if (!end) append(" %3.0f %%", total_ > 0 ? std::floor(100.0 * double(done_) / double(total_)) : 100);
    if (!std::isnan(figures_.loss)) append("  loss %.4f", figures_.loss);
    if (!std::isnan(figures_.accuracy)) append("  accuracy %.1f %%", 100 * figures_.accuracy);
    const double taken = now - start_, rate = taken > 0 ? double(done_ - before_) / taken : 0;
    if (rate > 0) append(rate < 10 ? "  %.2f " : "  %.0f ", rate), line += options_.unit + "/s";
    if (end)
      line += "  " + duration(taken);
    else if (rate > 0)
      line += "  " + duration(double(total_ - done_) / rate) + " left";
    return line;
  }
  void draw(double now, bool end) {
    std::string line = options_.label;
    const std::string rest = figures(now, end);
    if (terminal_) {
      const int room = columns() - 1 - static_cast<int>(line.size() + rest.size()) - 3;
      if (!end && room >= 8) {
        const int cells = std::min(room, 30);
        const int full = total_ > 0 ? static_cast<int>(double(done_) / double(total_) * cells) : cells;
        line += (line.empty() ? "[" : " [") + std::string(static_cast<std::size_t>(std::clamp(full, 0, cells)), '=') +
                std::string(static_cast<std::size_t>(cells - std::clamp(full, 0, cells)), ' ') + "]";
      }
      line += rest;
      if (static_cast<int>(line.size()) >= columns()) line.resize(static_cast<std::size_t>(columns() - 1));
      *options_.out << '\r' << line << "\x1b[K";
      if (end) *options_.out << '\n';
    } else {
      *options_.out << line << rest << '\n';
    }
    options_.out->flush();
    drawn_ = terminal_;
  }

  ProgressOptions options_;
  Index total_, before_, done_;
  ProgressFigures figures_;
  double start_ = 0, last_ = 0;
  bool terminal_ = false, drawn_ = false, finished_ = false;
};

ATTEND_END
