#pragma once
#include <vector>

#include "attend/core/threads.hpp"

ATTEND_BEGIN

/// Sum of part(begin, end) over the chunks of [0, count), added in chunk order: the same bits for any number of
/// threads.
template <class Part>
double chunked_sum(std::ptrdiff_t count, std::ptrdiff_t grain, const Part& part) {
  if (count <= 0) return 0;
  if (count <= grain) return part(std::ptrdiff_t(0), count);
  std::vector<double> parts(static_cast<std::size_t>((count + grain - 1) / grain));
  parallel_for(count, grain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    parts[static_cast<std::size_t>(begin / grain)] = part(begin, end);
  });
  double sum = 0;
  for (const double p : parts) sum += p;
  return sum;
}

ATTEND_END
