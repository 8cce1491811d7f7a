#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace bench {

/// Runs `part(thread)` on `threads` threads that start together; seconds from the first start to the last end, by the
/// threads' own clocks: that they are made and joined does not count. The caller is the first of them.
template <class F>
double seconds_on_threads(int threads, const F& part) {
  using Clock = std::chrono::steady_clock;
  std::vector<Clock::time_point> start(static_cast<std::size_t>(threads)), end = start;
  std::atomic<int> ready{0};
  const auto together = [&](int thread) {
    ready.fetch_add(1);
    while (ready.load() < threads) _mm_pause();
    start[static_cast<std::size_t>(thread)] = Clock::now();
    part(thread);
    end[static_cast<std::size_t>(thread)] = Clock::now();
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(together, i);
  together(0);
  for (std::thread& other : others) other.join();
  return std::chrono::duration<double>(*std::max_element(end.begin(), end.end()) -
                                       *std::min_element(start.begin(), start.end()))
      .count();
}

}  // namespace bench
