/// What a unit of work asks for ahead of its use, a part with each tile: the next block of keys and values, the queries
/// of the next unit, with few keys its own output. Heads lie interleaved, which the processor's own prefetching does not
/// see through.
#ifndef ATTEND_KERNELS_ATTENTION_FETCH
#define ATTEND_KERNELS_ATTENTION_FETCH
#include "attend/kernels/attention_turns.hpp"

#define ATTEND_KERNELS "attend/kernels/attention_fetch.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {

template <class S>
class AttentionFetch {
  using Units = AttentionUnits<S>;
  using Unit = typename Units::Unit;
  static constexpr Index lanes = Units::lanes;

 public:
  AttentionFetch(const AttentionProblem<S>& problem, const Units& all, const HeadRows<S>& rows)
      : p(problem), units(all), output(rows) {}

  /// Null where everything may lie in the cache already: asking for it again would cost more than it saves.
  FetchQueue* queue() { return far ? &queue_ : nullptr; }

  /// Before the tiles of a unit, which may see `seen`; `first`: none came before it here.
  void start(Index unit, AttentionMask::Range seen, bool first) {
    here = units[unit], next = units[std::min(unit + 1, units.count - 1)];
    range = seen;
    unknown = first;
    const bool small = p.mask.keys * (p.dim + p.value_dim) * static_cast<Index>(sizeof(S)) <= near_bytes;
    near = small && !first && same_head(here, units[unit - 1]);
  }
  /// Before the tile of the n-th block of queries.
  void tile(Index n, Index key, Index keys) {
    if (!far) return;
    queue_.clear();
    if (key >= p.mask.keys) return;
    if (unknown) queue_.add(p.value.at(here.b, key, here.key_head), p.value.position, keys, p.value_dim);
    unknown = false;
    const Index first = share(lanes, key), after = share(lanes, key + keys);
    const auto queries = [&](const auto& rows, const Unit& unit, Index columns) {
      if (unit.begin + n >= unit.end) return;
      const Index begin = units.first_query(unit.begin + n), end = std::min(begin + after, p.queries);
      queue_.add(rows.at(unit.b, begin + first, units.head(unit, unit.begin + n)), rows.position, end - begin - first,
                 columns);
    };
    if (p.mask.keys < few_keys) queries(output, here, p.value_dim);
    queries(p.query, next, p.dim);
    const Index from = (key / attention_keys + 1) * attention_keys;
    if (from < range.end) {
      if (!near) keys_and_values(n, here, from, range.end);
    } else if (!same_head(here, next)) {
      keys_and_values(n, next, 0, p.mask.keys);
    }
    queue_.spread((keys + p.value_dim) / tile_rows);
  }

 private:
  static constexpr Index few_keys = 112;        // little to compute for each number of the output
  static constexpr Index far_bytes = 1 << 24;   // of all that is read and written
  static constexpr Index near_bytes = 1 << 19;  // of keys and values that stay near while units read them again
  static bool same_head(const Unit& a, const Unit& b) { return a.b == b.b && a.key_head == b.key_head; }
  Index share(Index of, Index up_to) const { return of * (up_to - range.begin) / (range.end - range.begin); }
  /// The n-th part of a block.
  void keys_and_values(Index n, const Unit& unit, Index from, Index end) {
    const Index keys = std::min(attention_keys, end - from), count = here.end - here.begin;
    const Index begin = from + n * keys / count, rows = from + (n + 1) * keys / count - begin;
    queue_.add(p.key.at(unit.b, begin, unit.key_head), p.key.position, rows, p.dim);
    queue_.add(p.value.at(unit.b, begin, unit.key_head), p.value.position, rows, p.value_dim);
  }

  const AttentionProblem<S>& p;
  const Units& units;
  const HeadRows<S>& output;
  Unit here{}, next{};
  AttentionMask::Range range{0, 0};
  const bool far =
      p.batch * (p.heads * p.queries + p.key_heads * p.keys) * (p.dim + p.value_dim) * static_cast<Index>(sizeof(S)) >=
      far_bytes;
  FetchQueue queue_;
  bool unknown = false, near = false;
};

}  // namespace detail

ATTEND_END_ISA
#endif
