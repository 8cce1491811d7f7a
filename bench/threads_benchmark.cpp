// What it costs to run a loop on several threads, beyond its work: from the call to its return, the pool awake.
#include "row_benchmark.hpp"

namespace {
using Clock = std::chrono::steady_clock;

/// Two chunks for each thread and nothing in them, or one chunk each of so many microseconds, which count as what the
/// loop should take. Reported is the median; the benchmark's own time is the mean with the work.
void fork_and_join(benchmark::State& state, int threads, int microseconds) {
  attend::set_num_threads(threads);
  const std::ptrdiff_t chunks = microseconds ? threads : 2 * threads;
  std::vector<double> seconds;
  std::atomic<std::ptrdiff_t> ran{0};
  for (auto _ : state) {
    const auto from = Clock::now();
    attend::parallel_for(chunks, 1, [&](std::ptrdiff_t, std::ptrdiff_t) {
      ran.fetch_add(1, std::memory_order_relaxed);
      if (microseconds == 0) return;
      for (const auto end = Clock::now() + std::chrono::microseconds(microseconds); Clock::now() < end;) continue;
    });
    seconds.push_back(std::chrono::duration<double>(Clock::now() - from).count() - microseconds * 1e-6);
  }
  if (ran.load() != chunks * static_cast<std::ptrdiff_t>(seconds.size()))
    return state.SkipWithError("some chunk did not run once");
  const auto nanoseconds_at = [&](double share) {
    const auto n = seconds.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(seconds.size() - 1));
    std::nth_element(seconds.begin(), n, seconds.end());
    return *n * 1e9;
  };
  state.counters["overhead_ns"] = nanoseconds_at(0.5);
  state.counters["overhead_ns_at_90%"] = nanoseconds_at(0.9);
}

}  // namespace

int main(int argc, char** argv) {
  for (const int threads : {1, 2})
    for (const int microseconds : {0, 5, 50})
      benchmark::RegisterBenchmark(
          ("fork_join/work:" + std::to_string(microseconds) + "us/threads:" + std::to_string(threads)).c_str(),
          [=](benchmark::State& state) { fork_and_join(state, threads, microseconds); })
          ->UseRealTime()
          ->Unit(benchmark::kMicrosecond);
  return bench::run(argc, argv, {});
}
