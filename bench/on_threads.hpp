#pragma once
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace bench {

/// Runs `part(thread)` on `threads` threads that start together; seconds until the last has ended. The caller is the
/// first of them.
template <class F>
double seconds_on_threads(int threads, const F& part) {
  std::atomic<int> ready{0};
  const auto together = [&](int thread) {
    ready.fetch_add(1);
    while (ready.load() < threads) _mm_pause();
    part(thread);
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(together, i);
  ready.fetch_add(1);
  while (ready.load() < threads) _mm_pause();
  const auto from = std::chrono::steady_clock::now();
  part(0);
  for (std::thread& other : others) other.join();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
}

}  // namespace bench
