#pragma once
/// A user's own rule for scores, compiled into the loops of the fused attention kernels.
#include <type_traits>
#include <utility>

#include "attend/core/namespace.hpp"

ATTEND_BEGIN

/// Which score it is: sample, head, query and key.
struct AttentionIndex {
  int b, h, i, j;
};

/// Leaves scores as they are.
struct NoScoreMod {};
/// Hides nothing.
struct NoMaskMod {};

/// What is done to the scores of one call.
template <class ScoreMod = NoScoreMod, class MaskMod = NoMaskMod>
struct AttentionModifier {
  static constexpr bool changes = !std::is_same_v<ScoreMod, NoScoreMod>, hides = !std::is_same_v<MaskMod, NoMaskMod>;
  ScoreMod score;
  MaskMod mask;
};

namespace detail {
template <class F, class S, class = void>
struct IsScoreMod : std::false_type {};
template <class F, class S>
struct IsScoreMod<F, S,
                  std::enable_if_t<std::is_convertible_v<
                      decltype(std::declval<const F&>()(std::declval<S>(), std::declval<AttentionIndex>())), S>>>
    : std::true_type {};
template <class F, class = void>
struct IsMaskMod : std::false_type {};
template <class F>
struct IsMaskMod<
    F,
    std::enable_if_t<std::is_convertible_v<decltype(std::declval<const F&>()(std::declval<AttentionIndex>())), bool>>>
    : std::true_type {};
/// Has it `backward(score, gradient, index)`?
template <class F, class S, class = void>
struct HasScoreBackward : std::is_same<F, NoScoreMod> {};
template <class F, class S>
struct HasScoreBackward<F, S,
                        std::void_t<decltype(std::declval<const F&>().backward(
                            std::declval<S>(), std::declval<S>(), std::declval<AttentionIndex>()))>> : std::true_type {
};
}  // namespace detail

ATTEND_END
