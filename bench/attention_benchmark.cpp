// Scaled dot-product attention: rows A1-A16 of the table, and the memory of A11's training.
#include "peak_memory.hpp"
#include "row_benchmark.hpp"
#include "rows/attention.hpp"
#include "rows/decode.hpp"

namespace {
using namespace attend;

/// Peak memory of a forward and a backward pass at the sizes of A11, inputs included, beside what must be there: query,
/// key, value, output, gradient of the output, gradients of query, key and value.
void memory(benchmark::State& state, int threads) {
  set_num_threads(threads);
  const Shape<4> shape{2, 4096, 8, 40};
  for (auto _ : state) {
    Recycler::release();
    const double peak = bench::peak_memory([&] {
      Tape<float> tape(Mode::training);
      const auto input = [&](std::uint64_t seed) {
        return tape.want(tape.input(bench::normal_tensor<4>(shape, seed)));
      };
      const auto q = input(1), k = input(2), v = input(3);
      const auto dy = bench::normal_tensor<4>(shape, 5);
      const auto y = scaled_dot_product_attention(q, k, v);
      benchmark::DoNotOptimize(tape.backward_from(y, dy.data()));
    });
    const double needed = 8.0 * double(element_count(shape)) * sizeof(float);
    state.counters["peak_MB"] = peak * 1e-6;
    state.counters["needed_MB"] = needed * 1e-6;
    state.counters["ratio"] = peak / needed;
  }
}

/// Time of causal attention at the sizes of A3 over that of the same without a mask, times the share of pairs that the
/// mask leaves: the median over calls of both by turns.
void causal_overhead(benchmark::State& state, int threads) {
  set_num_threads(threads);
  bench::AttentionCase c{.batch = 1, .heads = 12, .queries = 1024, .keys = 1024, .dim = 64};
  const bench::AttentionInputs inputs(c);
  const double share = double(c.queries + 1) / double(2 * c.queries);
  using Clock = std::chrono::steady_clock;
  const auto seconds = [&](Causal causal) {
    const auto from = Clock::now();
    benchmark::DoNotOptimize(scaled_dot_product_attention(inputs.query, inputs.key, inputs.value, {.causal = causal}));
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  std::vector<double> ratios;
  for (auto _ : state) ratios.push_back(seconds(Causal::top_left) / (seconds(Causal::none) * share));
  std::nth_element(ratios.begin(), ratios.begin() + std::ptrdiff_t(ratios.size() / 2), ratios.end());
  state.counters["overhead"] = ratios[ratios.size() / 2];
}
}  // namespace

int main(int argc, char** argv) {
  for (const int threads : {1, 2}) {
    const std::string on = "/threads:" + std::to_string(threads);
    benchmark::RegisterBenchmark(("A11/memory, forward and backward" + on).c_str(), memory, threads)
        ->Iterations(1)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(("A3/causal over its unmasked share" + on).c_str(), causal_overhead, threads)
        ->Iterations(101)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
  bench::Rows rows = bench::attention_rows();
  for (const bench::Row& row : bench::decode_rows()) rows.push_back(row);
  return bench::run(argc, argv, rows);
}
