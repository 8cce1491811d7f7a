/// What a forward pass can be asked for beside its output, gathered tile by tile: no matrix of weights is made.
#ifndef ATTEND_KERNELS_ATTENTION_STATISTICS
#define ATTEND_KERNELS_ATTENTION_STATISTICS
#include "attend/kernels/attention_block.hpp"

ATTEND_BEGIN

/// Of each row of weights w, before dropout; (batch, heads, queries) each, null where nobody asks.
template <class S>
struct AttentionStatistics {
  static constexpr bool asked = true;
  S* log_sum_exp = nullptr;      ///< log sum_j exp(score_j); -inf for a row that sees nothing
  S* entropy = nullptr;          ///< -sum_j w_j log w_j; 0 for a row that sees nothing
  S* mass = nullptr;             ///< sum of w_j over the keys `inside`; appended keys are outside
  const bool* inside = nullptr;  ///< (batch, ordinary keys) by stride
  Shape<2> inside_stride{};
  Index top = 0;  ///< the weights of the so many largest scores, descending, of equal ones the first key first
  S* top_weights = nullptr;   ///< (batch, heads, queries, top); 0 beyond the keys that the row sees
  Index* top_keys = nullptr;  ///< (batch, heads, queries, top); -1 there
};
/// Nobody asks.
struct NoAttentionStatistics {
  static constexpr bool asked = false;
};

ATTEND_END

#define ATTEND_KERNELS "attend/kernels/attention_statistics.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {

/// The statistics of a tile's queries on their way through the keys. Like the sums of the softmax they are relative to
/// the largest score so far, m: with e_j = exp(s_j - m), the entropy is log sum e_j - sum e_j (s_j - m) / sum e_j.
template <class S>
class RowStatistics {
 public:
  using Vector = simd::Vector<S>;
  using Words = simd::Bits<Vector>;
  static constexpr Index lanes = attention_queries<S>, step = simd::lanes<S>;
  static constexpr S nothing = -std::numeric_limits<S>::infinity();

  RowStatistics(const AttentionStatistics<S>& asked, S* memory)
      : to_(asked), scores_(memory), keys_(memory + asked.top * lanes) {}
  static Index scratch(const AttentionStatistics<S>& asked) { return 2 * asked.top * lanes; }

  void start() {
    std::fill_n(moment_, lanes, S(0));
    std::fill_n(mass_, lanes, S(0));
    std::fill_n(scores_, to_.top * lanes, nothing);
  }
  /// A tile of scores, before it becomes exponentials.
  template <class Block>
  void see_scores(const Block& block, Index key, Index keys) {
    const bool* const inside = to_.inside + block.b * to_.inside_stride[0] + key * to_.inside_stride[1];
    for (Index j = 0; j < keys; ++j)
      inside_[j] = to_.inside && key + j < block.p.mask.keys && inside[j * to_.inside_stride[1]] ? S(1) : S(0);
    if (to_.top == 0) return;
    for (Index at = 0; at < block.width; at += step) {
      const S* const least = scores_ + (to_.top - 1) * lanes + at;
      for (Index j = 0; j < block.seen[at / step]; ++j) {
        const Vector score = simd::load(block.scores + j * block.width + at);
        if (simd::any(score > simd::load(least))) insert(at, score, key + j);
      }
    }
  }
  struct Sums {
    Vector moment, mass;  // sums of e_j (s_j - m), and of e_j inside
  };
  /// What the lanes from `at` on have so far, after their largest score rose; sum: of the exponentials so far.
  ATTEND_INLINE Sums rise(Index at, Vector before, Vector now, Vector factor, Vector sum) const {
    const Vector by = simd::select(before == simd::all<Vector>(nothing), Vector{}, before - now);
    const Vector moment = factor * simd::multiply_add(sum, by, simd::load(moment_ + at));
    // what no longer counts may be infinite: scores as low as there are, where a bias stands for a mask
    return {simd::select(factor == Vector{}, Vector{}, moment), factor * simd::load(mass_ + at)};
  }
  ATTEND_INLINE void see(Index j, Vector distance, Vector e, Sums& sums) const {
    sums.moment = simd::multiply_add(simd::select(e == Vector{}, Vector{}, distance), e, sums.moment);
    sums.mass = simd::multiply_add(e, simd::all<Vector>(inside_[j]), sums.mass);
  }
  ATTEND_INLINE void keep(Index at, const Sums& sums) {
    simd::store(moment_ + at, sums.moment);
    simd::store(mass_ + at, sums.mass);
  }
  template <class Block>
  void finish(const Block& block, const RunningSoftmax<S>& running, const S* inverse) const {
    for (Index i = 0; i < block.count; ++i) {
      const Index row = block.p.row(block.b, block.h, block.first + i);
      const S sum = running.sum[i], top = running.top[i] == nothing ? S(0) : running.top[i];
      const bool blind = sum == S(0);
      if (to_.log_sum_exp) to_.log_sum_exp[row] = blind ? nothing : top + simd::log(sum);
      if (to_.entropy) to_.entropy[row] = blind ? S(0) : simd::log(sum) - moment_[i] / sum;
      if (to_.mass) to_.mass[row] = mass_[i] * inverse[i];
      for (Index r = 0; r < to_.top; ++r) {
        const S score = scores_[r * lanes + i], e = simd::exp_nonpositive(score - top);
        to_.top_weights[row * to_.top + r] = e == S(0) ? S(0) : e * inverse[i];
        to_.top_keys[row * to_.top + r] =
            score == nothing ? -1 : static_cast<Index>(simd::bits_of(keys_[r * lanes + i]));
      }
    }
  }

 private:
  /// Into the descending lists of some lanes: where a score finds its place, those behind it move on by one.
  ATTEND_OUT_OF_LINE void insert(Index at, Vector score, Index key) {
    Words id = simd::bits_of(Vector{}) + static_cast<typename simd::Lanes<Vector>::Word>(key);
    auto placed = score != score;  // a NaN is passed over
    placed = placed & ~placed;
    for (Index r = 0; r < to_.top; ++r) {
      S *const scores = scores_ + r * lanes + at, *const keys = keys_ + r * lanes + at;
      const Vector here = simd::load(scores), of_key = simd::load(keys), new_key = simd::from_bits<Vector>(id);
      placed = placed | (score > here);
      simd::store(scores, simd::select(placed, score, here));
      simd::store(keys, simd::select(placed, new_key, of_key));
      score = simd::select(placed, here, score);
      id = simd::bits_of(simd::select(placed, of_key, new_key));
    }
  }

  const AttentionStatistics<S>& to_;
  S *const scores_, *const keys_;  // (top, lanes): the largest scores, and the bits of their keys' numbers
  S inside_[attention_keys];       // 1 or 0
  alignas(64) S moment_[lanes], mass_[lanes];
};

/// Of a call that asks for none.
template <class S>
struct NoRowStatistics {
  using Vector = simd::Vector<S>;
  struct Sums {};
  NoRowStatistics(const NoAttentionStatistics&, const S*) {}
  static Index scratch(const NoAttentionStatistics&) { return 0; }
  void start() {}
  template <class Block>
  void see_scores(const Block&, Index, Index) {}
  ATTEND_INLINE Sums rise(Index, Vector, Vector, Vector, Vector) const { return {}; }
  ATTEND_INLINE void see(Index, Vector, Vector, Sums&) const {}
  ATTEND_INLINE void keep(Index, const Sums&) {}
  template <class Block>
  void finish(const Block&, const RunningSoftmax<S>&, const S*) const {}
};
template <class S, class Statistics>
using RowStatisticsOf = std::conditional_t<Statistics::asked, RowStatistics<S>, NoRowStatistics<S> >;

}  // namespace detail

ATTEND_END_ISA
#endif
