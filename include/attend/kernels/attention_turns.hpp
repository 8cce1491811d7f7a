/// Blocks of queries in turns: some of them go through a block of keys one after another while it is near, then through
/// the next.
#ifndef ATTEND_KERNELS_ATTENTION_TURNS
#define ATTEND_KERNELS_ATTENTION_TURNS
#include "attend/kernels/attention_block.hpp"

#define ATTEND_KERNELS "attend/kernels/attention_turns.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {

constexpr Index attention_turns = 4;

/// Blocks of queries that take turns: of one sample, reading one key head.
template <class S>
struct AttentionRun {
  Index b = 0, key_head = 0, count = 0;
  Index head[attention_turns] = {}, first[attention_turns] = {}, after[attention_turns] = {};  // queries [first, after)
  void set(Index n, Index of_head, const QueryBlocks<S>& blocks, Index block) {
    head[n] = of_head, first[n] = blocks[block], after[n] = blocks[block + 1];
  }
  bool same_head(const AttentionRun& other) const { return b == other.b && key_head == other.key_head; }
};

/// The blocks of queries of all heads that read one key head, those at the same queries side by side, in runs of up to
/// `attention_turns`, which are the units of work: shorter ones where there is little work.
template <class S>
struct AttentionUnits {
  QueryBlocks<S> cut;
  Index key_heads, group, blocks, per_head, count;

  explicit AttentionUnits(const AttentionProblem<S>& p)
      : cut(0, p.queries), key_heads(p.key_heads), group(p.heads / p.key_heads), blocks(cut.count * group) {
    const Index turns = std::clamp<Index>(p.batch * key_heads * blocks / 16, 1, attention_turns);
    per_head = (blocks + turns - 1) / turns;
    count = p.batch * key_heads * per_head;
  }
  AttentionRun<S> operator[](Index unit) const {
    const Index at = unit % per_head;
    const Index begin = at * blocks / per_head, end = (at + 1) * blocks / per_head;
    AttentionRun<S> run{unit / per_head / key_heads, unit / per_head % key_heads, end - begin};
    for (Index n = 0; n < run.count; ++n)
      run.set(n, run.key_head * group + (begin + n) % group, cut, (begin + n) / group);
    return run;
  }
  /// Units of a chunk: whole heads where there are many, for what a unit asks for ahead is its successor's.
  Index grain(const AttentionProblem<S>& p) const {
    const Index queries = attention_queries<S> * ((blocks + per_head - 1) / std::max<Index>(1, per_head));
    const Index heads = p.batch * p.key_heads;
    return std::max(attention_grain(p, queries), heads >= many_heads ? heads / many_heads * per_head : Index(1));
  }

 private:
  static constexpr Index many_heads = 64;
};

/// The ordinary keys that any of `count` blocks, block(n), may see.
template <class F>
AttentionMask::Range common_range(Index count, const F& block) {
  AttentionMask::Range common{std::numeric_limits<Index>::max(), 0};
  for (Index n = 0; n < count; ++n) {
    const AttentionMask::Range r = block(n).range;
    if (r.begin < r.end) common = {std::min(common.begin, r.begin), std::max(common.end, r.end)};
  }
  return common;
}
/// Calls step(n, first key, number of keys) for each tile of the n-th block, a block of keys at a time.
template <class F, class Step>
void take_turns(Index count, const F& block, const Step& step) {
  const AttentionMask::Range range = common_range(count, block);
  for (Index from = range.begin / attention_keys * attention_keys; from < range.end; from += attention_keys)
    for (Index n = 0; n < count; ++n) block(n).tile_at(from, [&](Index key, Index keys) { step(n, key, keys); });
  for (Index n = 0; n < count; ++n) block(n).for_each_appended_tile([&](Index key, Index keys) { step(n, key, keys); });
}

}  // namespace detail

ATTEND_END_ISA
#endif
