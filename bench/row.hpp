#pragma once
/// A row of the benchmark table: declared once, run by Google Benchmark (row_benchmark.hpp) and, beside other libraries,
/// by peers/compare.py (row_server.hpp).
#include <attend/core/rng.hpp>
#include <attend/io/safetensors.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace bench {
using namespace attend;

/// What limits a row, and so what its rate is a fraction of.
enum class Bound {
  products,  ///< multiply-adds on registers
  reading,   ///< bytes read once
  copying    ///< bytes read and written
};

/// A row, its inputs made.
struct Work {
  std::function<void()> call;     ///< what is timed: what a user writes
  std::function<double()> error;  ///< largest difference from the reference, over the reference's largest magnitude
  /// Everything that another library needs to do the same: inputs and parameters by name, results under names that
  /// begin with "output", and as metadata what the row computes and with which options.
  std::function<void(SafetensorsWriter&)> write;
};

struct Row {
  std::string id;    ///< of the table
  std::string what;  ///< workload and shape
  Bound bound;
  double operations;  ///< of a call, two for each multiplication that must be done
  double bytes;       ///< that a call must at least read and write
  double tolerance;   ///< of Work::error
  std::function<Work()> prepare;
};
using Rows = std::vector<Row>;

/// Standard normal numbers, the same on every machine; no subnormals among them.
template <int R>
Tensor<float, R> normal_tensor(const Shape<R>& shape, std::uint64_t seed, double deviation = 1) {
  Tensor<float, R> t(shape);
  const Rng rng(seed);
  for (Index i = 0; i < t.size(); ++i)
    t.data()[i] = static_cast<float>(deviation * rng.normal_at(static_cast<std::uint64_t>(i)));
  return t;
}

/// Collects differences from a reference.
class Difference {
 public:
  void add(double found, double expected) {
    const double d = std::abs(found - expected);
    largest_ = d <= largest_ || std::isnan(largest_) ? largest_ : d;  // NaN is taken, and stays
    scale_ = std::max(scale_, std::abs(expected));
  }
  /// Over the largest magnitude of the reference.
  double relative() const { return largest_ / scale_; }
  double absolute() const { return largest_; }
  double scale() const { return scale_; }

 private:
  double largest_ = 0, scale_ = 0;
};

}  // namespace bench
