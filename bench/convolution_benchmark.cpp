/// Convolution at the shapes of small image networks, forward and backward. Each benchmark first compares its results
/// with the plain loops of testing/; GFLOP/s counts two operations for each multiplication.
#include <benchmark/benchmark.h>

#include "attend/functional/arithmetic.hpp"
#include "attend/functional/pooling.hpp"
#include "attend/testing/reference_convolution.hpp"

using namespace attend;
using namespace attend::testing;

namespace {

Tensor<float, 4> random_map(const Shape<4>& shape, std::uint64_t seed) {
  Tensor<float, 4> t(shape);
  const Rng rng(seed);
  for (Index i = 0; i < t.size(); ++i)
    t.data()[i] = static_cast<float>(2 * rng.uniform_at(static_cast<std::uint64_t>(i)) - 1);
  return t;
}
bool agree(const Tensor<float, 4>& found, const Tensor<float, 4>& expected) {
  for (Index i = 0; i < expected.size(); ++i)
    if (!(std::abs(found.data()[i] - expected.data()[i]) <= 1e-3f)) return false;  // up to 2300 terms below 1 in float
  return found.size() == expected.size();
}

struct Problem {
  Shape<4> x, weight;
  ConvolutionOptions options;
};
Problem problem_of(const benchmark::State& state) {
  const Index batch = state.range(0), size = state.range(1), in = state.range(2), out = state.range(3),
              kernel = state.range(4);
  const Index stride = state.range(5), groups = state.range(6);
  return {{batch, size, size, in},
          {out, in / groups, kernel, kernel},
          {.stride = stride, .padding = kernel / 2, .groups = groups}};
}
/// On two samples, against plain loops.
bool right(const Problem& p) {
  const auto x = random_map({2, p.x[1], p.x[2], p.x[3]}, 1), w = random_map(p.weight, 2);
  Tape<float> tape(Mode::training);
  const auto xv = tape.want(tape.input(x)), wv = tape.want(tape.input(w));
  const auto y = conv2d(xv, wv, absent<float, 1>(), p.options);
  const auto dy = random_map(y.shape(), 3);
  const auto gradients = tape.backward(dot(y, Variable<float, 4>(dy)));
  const auto naive = reference_conv2d_backward(x, w, dy, p.options);
  return agree(y.tensor(), reference_conv2d(x, w, Tensor<float, 1>(0), p.options)) &&
         agree(gradients.of(xv), naive.x) && agree(gradients.of(wv), naive.weight);
}

enum class Part { forward, backward_input, backward_weight };

template <Part part>
void convolution(benchmark::State& state) {
  const Problem p = problem_of(state);
  if (!right(p)) return state.SkipWithError("differs from the reference");
  ConvolutionShape s;
  s.batch = p.x[0], s.height = p.x[1], s.width = p.x[2], s.in_channels = p.x[3], s.out_channels = p.weight[0];
  s.kernel = {p.weight[2], p.weight[3]}, s.stride = p.options.stride, s.groups = p.options.groups;
  s.pad_top = s.pad_left = s.kernel.height / 2;
  s.out_height = s.out_width = detail::window_positions(s.height, 2 * s.pad_top, s.kernel.height, s.stride.height, 1);
  const auto x = random_map(p.x, 1), w = random_map(p.weight, 2),
             y = random_map({s.batch, s.out_height, s.out_width, s.out_channels}, 3);
  const auto packed = make_buffer<float>(packed_convolution_size<float>(s));
  pack_convolution(s, w.data(), packed.get());
  const auto result = make_buffer<float>(std::max({x.size(), y.size(), w.size()}), 0.0f);
  for (auto _ : state) {
    if (part == Part::forward) convolution_forward(s, x.data(), packed.get(), y.data(), result.get());
    if (part == Part::backward_input) convolution_backward_input(s, y.data(), w.data(), result.get());
    if (part == Part::backward_weight) convolution_backward_weight(s, x.data(), y.data(), result.get());
    benchmark::ClobberMemory();
  }
  const double operations = 2.0 * static_cast<double>(y.size()) * static_cast<double>(w.size() / s.out_channels);
  state.counters["GFLOP/s"] = benchmark::Counter(operations * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"batch", "size", "in", "out", "kernel", "stride", "groups"});
  for (const Index batch : {128, 1}) {
    b->Args({batch, 28, 1, 32, 3, 1, 1});
    b->Args({batch, 28, 32, 32, 3, 1, 1});
    b->Args({batch, 14, 64, 64, 3, 1, 1});
    b->Args({batch, 14, 64, 64, 1, 1, 1});
    b->Args({batch, 28, 32, 64, 3, 2, 1});
    b->Args({batch, 7, 128, 128, 3, 1, 1});
    b->Args({batch, 14, 64, 64, 3, 1, 64});
  }
  b->Args({1, 56, 64, 64, 3, 1, 1});
  b->UseRealTime()->Unit(benchmark::kMicrosecond);
}
BENCHMARK(convolution<Part::forward>)->Apply(shapes);
BENCHMARK(convolution<Part::backward_input>)->Apply(shapes);
BENCHMARK(convolution<Part::backward_weight>)->Apply(shapes);

void max_pool(benchmark::State& state) {
  const auto x = random_map({128, 28, 28, 32}, 1);
  for (auto _ : state) {
    Tape<float> tape(Mode::training);
    const auto in = tape.want(tape.input(x));
    benchmark::DoNotOptimize(max_pool2d(in, {.kernel_size = 2}).data());
  }
  state.counters["GB/s"] =
      benchmark::Counter(static_cast<double>(x.size()) * 4e-9, benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(max_pool)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
