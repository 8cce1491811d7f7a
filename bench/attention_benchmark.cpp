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
}  // namespace

int main(int argc, char** argv) {
  for (const int threads : {1, 2})
    benchmark::RegisterBenchmark(("A11/memory, forward and backward/threads:" + std::to_string(threads)).c_str(),
                                 memory, threads)
        ->Iterations(1)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  bench::Rows rows = bench::attention_rows();
  for (const bench::Row& row : bench::decode_rows()) rows.push_back(row);
  return bench::run(argc, argv, rows);
}
