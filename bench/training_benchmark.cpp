// Training steps of the default network of examples/fashion_mnist on batches of 128 images of 28 x 28.
// Alone it is a Google Benchmark; with `--blocks STEPS THREADS` it is the partner of peers/fashion_mnist_training.py: for each
// line on standard input it trains STEPS steps and prints the seconds per step.
#include <benchmark/benchmark.h>
#include <attend/train/adam.hpp>
#include <attend/train/cross_entropy.hpp>

#include <chrono>
#include <iostream>

#include "../examples/fashion_mnist/network.hpp"

namespace {
using namespace attend;

struct TrainingStep {
  Rng rng{1};
  Network network{NetworkOptions{}, 10, rng};
  AdamW<float> optimizer{network, {.learning_rate = 1e-3}};
  Tensor<float, 4> images{128, 28, 28, 1};
  Tensor<int, 1> labels{128};

  TrainingStep() {
    for (Index i = 0; i < images.size(); ++i) images.data()[i] = float(rng.normal());
    for (Index i = 0; i < labels.size(); ++i) labels(i) = int(i % 10);
  }
  float operator()() {
    Tape<float> tape(Mode::training, rng);
    const auto loss = cross_entropy(network(tape.input(images)), labels);
    optimizer.step(network, tape.backward(loss));
    return loss.item();
  }
};

void fashion_mnist_training(benchmark::State& state) {
  set_num_threads(int(state.range(0)));
  TrainingStep step;
  const float first = step();
  float last = first;
  for (int i = 0; i < 20; ++i) last = step();
  if (!(last < first)) state.SkipWithError("the loss does not fall");
  for (auto _ : state) benchmark::DoNotOptimize(step());
  state.SetItemsProcessed(state.iterations() * 128);
}
BENCHMARK(fashion_mnist_training)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

int blocks(int steps, int threads) {
  set_num_threads(threads);
  TrainingStep step;
  std::cout << "attend, " << count_parameters<float>(step.network) << " parameters" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < steps; ++i) step();
    std::cout << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / steps << std::endl;
  }
  return 0;
}
}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "--blocks") return blocks(std::atoi(argv[2]), std::atoi(argv[3]));
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
