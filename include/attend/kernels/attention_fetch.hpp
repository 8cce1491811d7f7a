/// What a run of blocks of queries asks for ahead of its use, a part with each tile: the next block of keys and values,
/// the rows of the queries that come next. Heads lie interleaved, which the processor's own prefetching does not see
/// through.
#ifndef ATTEND_KERNELS_ATTENTION_FETCH
#define ATTEND_KERNELS_ATTENTION_FETCH
#include <initializer_list>

#include "attend/kernels/attention_turns.hpp"

#define ATTEND_KERNELS "attend/kernels/attention_fetch.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {

template <class S>
class AttentionFetch {
 public:
  template <class T>
  struct Rows {
    HeadRows<T> at;
    Index columns;
  };

  /// `read`: what a block of queries reads when it starts; `written`: what it writes when it ends. `passes`: how often
  /// as much is read and written as by the forward pass.
  AttentionFetch(const AttentionProblem<S>& problem, std::initializer_list<Rows<const S> > read, Rows<S> written,
                 Index passes)
      : p(problem),
        far_(passes * p.batch * (p.heads * p.queries + p.key_heads * p.keys) * (p.dim + p.value_dim) * size >=
             far_bytes),
        small_(p.mask.keys * (p.dim + p.value_dim) * size * passes <= near_bytes),
        written_(written) {
    std::copy(read.begin(), read.end(), read_);
  }
  /// Null where everything may lie in the cache already: asking for it again would cost more than it saves.
  FetchQueue* queue() { return far_ ? &queue_ : nullptr; }

  /// Before the tiles of a run whose blocks may see `seen`.
  void start(const AttentionRun<S>& run, const AttentionRun<S>& following, AttentionMask::Range seen) {
    unknown_ = here_.count == 0;
    near_ = small_ && !unknown_ && run.same_head(here_);
    here_ = run, next_ = following, range_ = seen;
  }
  /// Before the tile of the n-th block, in whose products the queue is asked `asks` times.
  void tile(Index n, Index key, Index keys, Index asks) {
    if (!far_) return;
    queue_.clear();
    if (key >= p.mask.keys) return;
    if (unknown_) queue_.add(p.value.at(here_.b, key, here_.key_head), p.value.position, keys, p.value_dim);
    unknown_ = false;
    const auto queries = [&](const auto& rows, const AttentionRun<S>& run) {
      if (!rows.at || n >= run.count) return;
      const auto share = [&](Index up_to) {
        return run.first[n] + (run.after[n] - run.first[n]) * (up_to - range_.begin) / (range_.end - range_.begin);
      };
      const Index begin = share(key);
      queue_.add(rows.at.at(run.b, begin, run.head[n]), rows.at.position, share(key + keys) - begin, rows.columns);
    };
    queries(written_, here_);
    for (const auto& rows : read_) queries(rows, next_);
    const Index from = (key / attention_keys + 1) * attention_keys;
    if (from < range_.end) {
      if (!near_) keys_and_values(n, here_, from, range_.end);
    } else if (!here_.same_head(next_)) {
      keys_and_values(n, next_, 0, p.mask.keys);
    }
    queue_.spread(asks);
  }

 private:
  static constexpr Index size = static_cast<Index>(sizeof(S)), far_bytes = 1 << 24;
  static constexpr Index near_bytes = 1 << 23;  // of keys and values that stay near from one run to the next
  /// The n-th part of a block.
  void keys_and_values(Index n, const AttentionRun<S>& run, Index from, Index end) {
    const Index keys = std::min(attention_keys, end - from);
    const Index begin = from + n * keys / here_.count, rows = from + (n + 1) * keys / here_.count - begin;
    queue_.add(p.key.at(run.b, begin, run.key_head), p.key.position, rows, p.dim);
    queue_.add(p.value.at(run.b, begin, run.key_head), p.value.position, rows, p.value_dim);
  }

  const AttentionProblem<S>& p;
  const bool far_, small_;
  Rows<const S> read_[3] = {};
  const Rows<S> written_;
  AttentionRun<S> here_, next_;
  AttentionMask::Range range_{0, 0};
  bool unknown_ = false, near_ = false;
  FetchQueue queue_;
};

}  // namespace detail

ATTEND_END_ISA
#endif
