#pragma once
#include <csignal>

#include "attend/core/namespace.hpp"

ATTEND_BEGIN

/// While it lives, Ctrl-C (SIGINT) and SIGTERM only set a flag, for the training loop to look at between two steps, save
/// and stop. A second signal ends the program at once, as without it. One at a time.
///
///   InterruptFlag interrupted;
///   for (const auto& batch : loader.epoch(epoch)) {
///     ...
///     if (interrupted) break;
///   }
class InterruptFlag {
 public:
  InterruptFlag() {
    signal_ = 0;
    for (std::size_t i = 0; i < 2; ++i) before_[i] = std::signal(watched[i], note);
  }
  InterruptFlag(const InterruptFlag&) = delete;
  InterruptFlag& operator=(const InterruptFlag&) = delete;
  ~InterruptFlag() {
    for (std::size_t i = 0; i < 2; ++i)
      if (before_[i] != SIG_ERR) std::signal(watched[i], before_[i]);
  }
  explicit operator bool() const { return signal_ != 0; }
  /// The signal that came, or 0. A program that it stops should exit with 128 + this number.
  int signal() const { return signal_; }

 private:
  using Handler = void (*)(int);
  static constexpr int watched[] = {SIGINT, SIGTERM};
  static void note(int signal) {  // async-signal-safe: an assignment and std::signal
    signal_ = signal;
    std::signal(signal, SIG_DFL);
  }
  static inline volatile std::sig_atomic_t signal_ = 0;
  Handler before_[2];
};

ATTEND_END
