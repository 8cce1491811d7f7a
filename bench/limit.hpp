#pragma once
#include <map>

#include "bandwidth.hpp"
#include "fma_peak.hpp"
#include "row.hpp"

namespace bench {

/// What bounds a row: the rate measured on this machine, and how much of that a call asks for.
struct Limit {
  const char* name;
  double rate, work;
};

/// Measured once per process, number of threads and size of memory.
inline Limit limit_of(const Row& row, int threads) {
  static std::map<std::tuple<Bound, int, double>, double> known;
  const bool products = row.bound == Bound::products;
  double& rate = known[{row.bound, threads, products ? 0 : row.bytes}];
  if (rate == 0) {
    if (products)
      rate = fma_peak<float>(threads);
    else if (Ground ground{std::size_t(row.bytes)}; row.bound == Bound::reading)
      rate = ground.read(threads);
    else
      rate = ground.copy(threads);
  }
  if (products) return {"FMA_peak", rate, row.operations};
  return {row.bound == Bound::reading ? "read_bandwidth" : "copy_bandwidth", rate, row.bytes};
}

}  // namespace bench
