#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/autograd/recording.hpp"

ATTEND_BEGIN

namespace detail {
/// While it lives, the tape draws from `stream`.
template <class S>
struct StreamScope {
  StreamScope(Tape<S>& the_tape, const std::optional<Rng>& stream) : tape(the_tape), before(the_tape.stream()) {
    if (stream) tape.set_stream(*stream);
  }
  StreamScope(const StreamScope&) = delete;
  ~StreamScope() {
    if (before) tape.set_stream(*before);
  }
  Tape<S>& tape;
  const std::optional<Rng> before;
};
}  // namespace detail

/// y = layer(x...), keeping only x for the backward pass, which computes the layer again (Chen et al. 2016, "Training
/// deep nets with sublinear memory cost"; torch.utils.checkpoint). The layer takes Variables and returns one Variable.
///
/// The second computation repeats the random draws of the first by counter, and contributes no batch-norm moments.
/// Gradients equal those without a checkpoint. Saves x; an activation inside cannot be asked for with `tape.want`. The
/// layer stays where it is, and as it is, until the backward pass, which throws OptionError if a parameter was edited.
template <class L, class S, int R, class... More>
auto checkpoint(const L& layer, const Variable<S, R>& x, const More&... more) {
  Operation<S> op("checkpoint", x, more...);
  Tape<S>* outer = op.tape();
  using Result = decltype(layer(x, more...));
  if (!outer) return Result(layer(x, more...));
  std::optional<Rng> stream;
  if (outer->stream()) stream = outer->rng().split();
  if (!outer->recording()) {  // inside a checkpoint: draws what the recomputation, which records, will draw
    const detail::StreamScope<S> scope(*outer, stream);
    return Result(layer(x, more...));
  }
  struct Leaf {
    const ParameterData<S>* parameter;
    Slot slot;
    std::uint64_t version;
  };
  std::vector<Leaf> leaves;
  for (const auto& p : distinct_parameters<S>(layer))
    if (p->trainable()) {
      leaves.push_back({p.data, outer->leaf_slot(*p.data), p->version()});
      op.depend_on(leaves.back().slot);
    }

  const auto constant = [](Tape<S>& tape, const auto& v) {
    using V = std::decay_t<decltype(v)>;
    return V(v.shape(), v.owned().buffer(), tape.new_node(v.size(), false), tape.link());
  };
  Tape<S> forward(outer->mode(), Records::off);
  if (stream) forward.set_stream(*stream);
  const auto inner = layer(constant(forward, x), constant(forward, more)...);
  for (const auto& moments : forward.reported().moments()) outer->report(moments);
  const auto y = op.result(inner.shape());
  detail::copy_bulk(inner.data(), inner.size(), op.data(y));

  if (op.records()) {
    const auto slot_of = [&](const auto& v) {
      if constexpr (std::is_same_v<typename std::decay_t<decltype(v)>::Scalar, S>)
        return op.slot(v);
      else
        return Slot{};
    };
    const auto kept = [&](const auto& v) {
      using V = std::decay_t<decltype(v)>;
      return std::pair(V(v.shape(), std::const_pointer_cast<typename V::Scalar>(op.keep(v))), slot_of(v));
    };
    op.record(y, [&layer, mode = outer->mode(), stream, leaves, constant, dy = op.slot(y),
                  inputs = std::make_tuple(kept(x), kept(more)...)](Pass<S>& pass) {
      for (const Leaf& leaf : leaves)
        require<OptionError>(leaf.parameter->version() == leaf.version, "checkpoint", [] {
          return "a parameter was edited before the backward pass, which computes the layer again";
        });
      const Recording::Pause pause;
      Tape<S> tape(mode);
      if (stream) tape.set_stream(*stream);
      const auto enter = [&](const auto& input) {
        const auto v = constant(tape, input.first);
        if constexpr (std::is_same_v<typename std::decay_t<decltype(v)>::Scalar, S>)
          if (input.second.differentiable) return tape.want(v);
        return v;
      };
      const auto entered = std::apply([&](const auto&... input) { return std::make_tuple(enter(input)...); }, inputs);
      const auto again = std::apply([&](const auto&... v) { return layer(v...); }, entered);
      const auto gradients = tape.backward_from(again, pass.of(dy));
      for (const Leaf& leaf : leaves) {
        const S* found = gradients.find(*leaf.parameter);
        S* g = found ? pass.add_to(leaf.slot) : nullptr;
        for (Index i = 0; g && i < leaf.slot.size; ++i) g[i] += found[i];
      }
      const auto give = [&](const auto& input, const auto& v) {
        if constexpr (std::is_same_v<typename std::decay_t<decltype(v)>::Scalar, S>) {
          S* g = pass.add_to(input.second);
          if (!g) return;
          const auto found = gradients.of(v);
          for (Index i = 0; i < input.second.size; ++i) g[i] += found.data()[i];
        }
      };
      std::apply([&](const auto&... input) { std::apply([&](const auto&... v) { (give(input, v), ...); }, entered); },
                 inputs);
    });
  }
  return y;
}

ATTEND_END
