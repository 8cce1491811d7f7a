/// Matrix products at the shapes of dense layers, attention and convolutions. Each benchmark first compares its result with
/// sums in double precision. Reported: the best GFLOP/s of the repetitions' iterations, and it as a fraction of the
/// processor's FMA peak, measured in the same process, times the threads in use. Eigen's product beside it.
#include <benchmark/benchmark.h>

#include <Eigen/Core>
#include <cmath>
#include <vector>

#include "attend/core/rng.hpp"
#include "attend/kernels/gemm.hpp"
#include "fma_peak.hpp"

using namespace attend;

namespace {

template <class S>
struct Problem {
  Index m, n, k;
  Side side_a, side_b;
  std::vector<S> a, b, c;
  explicit Problem(const benchmark::State& state)
      : m(state.range(0)),
        n(state.range(1)),
        k(state.range(2)),
        side_a(state.range(3) ? Side::transposed : Side::plain),
        side_b(state.range(4) ? Side::transposed : Side::plain),
        a(static_cast<std::size_t>(m * k)),
        b(static_cast<std::size_t>(k * n)),
        c(static_cast<std::size_t>(m * n)) {
    Rng rng(1);
    for (S& e : a) e = static_cast<S>(rng.uniform() - 0.5);
    for (S& e : b) e = static_cast<S>(rng.uniform() - 0.5);
  }
  Index lda() const { return side_a == Side::plain ? k : m; }
  Index ldb() const { return side_b == Side::plain ? n : k; }
  /// Some thousands of elements, spread over the result.
  bool right() const {
    const Index step = std::max<Index>(1, m * n / 2003);
    for (Index at = 0; at < m * n; at += step) {
      const Index i = at / n, j = at % n;
      double sum = 0, size = 0;
      for (Index l = 0; l < k; ++l) {
        const double term = double(a[std::size_t(side_a == Side::plain ? i * k + l : l * m + i)]) *
                            double(b[std::size_t(side_b == Side::plain ? l * n + j : j * k + l)]);
        sum += term;
        size += std::abs(term);
      }
      if (!(std::abs(double(c[std::size_t(at)]) - sum) <= 4 * double(Eigen::NumTraits<S>::epsilon()) * size + 1e-30))
        return false;
    }
    return true;
  }
};

/// Times each iteration, so that the best can be told from what other programs on the machine leave.
template <class S, class F>
void measure(benchmark::State& state, const Problem<S>& problem, int threads, const F& multiply) {
  using Clock = std::chrono::steady_clock;
  multiply();
  if (!problem.right()) return state.SkipWithError("differs from the sums in double precision");
  double best = 1e30;
  for (auto _ : state) {
    const auto from = Clock::now();
    multiply();
    benchmark::ClobberMemory();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - from).count());
  }
  const double rate = 2.0 * double(problem.m) * double(problem.n) * double(problem.k) / best;
  static const double peak = bench::fma_peak<S>(1);
  state.counters["best_GFLOP/s"] = rate * 1e-9;
  state.counters["of_peak"] = rate / (peak * threads);
}

template <class S, int threads>
void product(benchmark::State& state) {
  Problem<S> p(state);
  set_num_threads(threads);
  measure(state, p, threads, [&] {
    gemm<S>(p.side_a, p.side_b, p.m, p.n, p.k, 1, p.a.data(), p.lda(), p.b.data(), p.ldb(), 0, p.c.data(), p.n);
  });
}

template <class S>
void packed(benchmark::State& state) {
  Problem<S> p(state);
  set_num_threads(1);
  const auto b = make_buffer<S>(packed_size<S>(p.k, p.n));
  pack_b(p.side_b, p.k, p.n, p.b.data(), p.ldb(), b.get());
  measure(state, p, 1, [&] {
    gemm_packed(p.m, p.n, p.k, S(1), PlainRows<S>{p.a.data(), p.k}, b.get(), S(0), p.c.data(), p.n);
  });
}

template <class S>
void eigen(benchmark::State& state) {
  Problem<S> p(state);
  using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const bool ta = p.side_a == Side::transposed, tb = p.side_b == Side::transposed;
  Eigen::Map<const Matrix> a(p.a.data(), ta ? p.k : p.m, p.lda()), b(p.b.data(), tb ? p.n : p.k, p.ldb());
  Eigen::Map<Matrix> c(p.c.data(), p.m, p.n);
  measure(state, p, 1, [&] {
    if (ta)
      c.noalias() = a.transpose() * b;
    else if (tb)
      c.noalias() = a * b.transpose();
    else
      c.noalias() = a * b;
  });
}

constexpr std::int64_t N = 0, T = 1;
void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "n", "k", "ta", "tb"})->MinTime(0.2);
  b->Args({512, 512, 512, N, N})->Args({512, 512, 512, N, T})->Args({512, 512, 512, T, N});
  b->Args({25088, 32, 288, N, N})->Args({6272, 64, 576, N, N})->Args({6272, 64, 64, N, N});  // convolutions
  b->Args({197, 768, 768, N, T})->Args({32, 512, 512, N, T})->Args({1, 512, 512, N, N});     // dense layers
  b->Args({288, 32, 25088, T, N})->Args({768, 768, 197, T, N});                              // gradients of weights
  b->Args({64, 64, 64, N, N})->Args({49, 32, 49, N, N})->Args({197, 64, 197, N, N});         // attention
  b->Args({16, 16, 16, N, N})->Args({8, 8, 8, N, N});                                        // overhead
}
void plain_shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "n", "k", "ta", "tb"})->MinTime(0.2);
  b->Args({512, 512, 512, N, N})->Args({25088, 32, 288, N, N})->Args({6272, 64, 576, N, N})->Args({6272, 64, 64, N, N});
  b->Args({197, 768, 768, N, T})->Args({32, 512, 512, N, T})->Args({1, 512, 512, N, N});
}
void large_shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "n", "k", "ta", "tb"})->MinTime(0.2)->UseRealTime();
  b->Args({512, 512, 512, N, N})->Args({25088, 32, 288, N, N})->Args({197, 768, 768, N, T})->Args({8, 3072, 768, N, N});
}

BENCHMARK(product<float, 1>)->Apply(shapes);
BENCHMARK(product<float, 2>)->Apply(large_shapes);
BENCHMARK(packed<float>)->Apply(plain_shapes);
BENCHMARK(eigen<float>)->Apply(shapes);
BENCHMARK(product<double, 1>)->Apply(plain_shapes);
BENCHMARK(eigen<double>)->Apply(plain_shapes);

template <class S>
void registers_only(benchmark::State& state) {
  double best = 0;
  for (auto _ : state) best = std::max(best, bench::fma_peak<S>(1));
  state.counters["best_GFLOP/s"] = best * 1e-9;
}
BENCHMARK(registers_only<float>)->Iterations(5);
BENCHMARK(registers_only<double>)->Iterations(5);

}  // namespace
