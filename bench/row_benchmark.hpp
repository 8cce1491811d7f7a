#pragma once
/// Rows as benchmarks of Google Benchmark, or served to a driver: the whole program of a family.
#include <benchmark/benchmark.h>
#include <attend/core/threads.hpp>

#include <memory>

#include "bandwidth.hpp"
#include "fma_peak.hpp"
#include "row_server.hpp"

namespace bench {

/// The result is checked; then the best rate of the iterations is reported beside what the processor or the memory of
/// this process could do with the same threads, and as a fraction of it. The benchmark's own time is the mean.
inline void measure(benchmark::State& state, const Row& row, int threads) {
  set_num_threads(threads);
  const Work work = row.prepare();
  work.call();
  const double error = work.error();
  if (!(error <= row.tolerance))
    return state.SkipWithError(("differs from the reference by " + std::to_string(error)).c_str());
  using Clock = std::chrono::steady_clock;
  double best = 1e30;
  for (auto _ : state) {
    const auto from = Clock::now();
    work.call();
    benchmark::ClobberMemory();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - from).count());
  }
  const Limit limit = limit_of(row, threads);
  state.counters[row.bound == Bound::products ? "GFLOP/s" : "GB/s"] = limit.work / best * 1e-9;
  state.counters[limit.name] = limit.rate * 1e-9;
  state.counters["fraction"] = limit.work / best / limit.rate;
  state.counters["error"] = error;
}

/// Benchmarks "ID/WHAT/threads:N" of all rows; `--serve` serves them instead.
inline int run(int argc, char** argv, const Rows& rows) {
  if (argc == 2 && std::string(argv[1]) == "--serve") return serve(rows);
  for (const Row& row : rows)
    for (const int threads : {1, 2})
      benchmark::RegisterBenchmark((row.id + "/" + row.what + "/threads:" + std::to_string(threads)).c_str(),
                                   [row, threads](benchmark::State& state) { measure(state, row, threads); })
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace bench
