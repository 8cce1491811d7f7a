#pragma once
#include <initializer_list>
#include <optional>
#include <unordered_map>

#include "attend/autograd/backward_step.hpp"
#include "attend/autograd/gradients.hpp"
#include "attend/core/accumulator.hpp"
#include "attend/core/rng.hpp"

ATTEND_BEGIN

/// training: dropout draws and batch norms use the batch. evaluation: for saliency, or fine-tuning with frozen
/// statistics.
enum class Mode { training, evaluation };
/// Whether a tape survives `backward`. Keep::tape allows a second pass over it.
enum class Keep { nothing, tape };
/// off: a tape that carries mode and random stream but records nothing (the forward pass of a checkpointed block).
enum class Records { on, off };

/// Names a gradient without holding the value's memory.
struct Slot {
  std::uint64_t node = 0;
  Index size = 0;
  bool differentiable = false;
};

/// The gradients during one backward pass.
template <class S>
class Pass {
 public:
  explicit Pass(std::size_t nodes) : gradients_(nodes) {}
  bool arrived(std::uint64_t node) const { return gradients_[node] != nullptr; }
  /// Of a result; null when no gradient reached it (only possible in an operation with several results).
  const S* of(const Slot& y) const { return gradients_[y.node].get(); }
  /// For closures that leave out elements: zeros at first; null if nobody needs it. A closure adds to it, never assigns.
  S* add_to(const Slot& x) {
    if (!x.differentiable) return nullptr;
    if (!arrived(x.node)) gradients_[x.node] = make_buffer<S>(x.size, S(0));
    return own(x);
  }
  /// For closures that give every element a term: stores the first one, adds the others.
  Accumulator<S> accumulate(const Slot& x) {
    if (!x.differentiable) return {};
    const bool empty = !arrived(x.node);
    if (empty) gradients_[x.node] = make_buffer<S>(x.size);
    return {own(x), empty};
  }
  /// For y = x + ...: x gets y's gradient, and shares its memory until a term is added to either. False where one has
  /// arrived already: then the closure adds.
  bool hand_on(const Slot& y, const Slot& x) {
    if (!x.differentiable) return true;
    if (arrived(x.node)) return false;
    gradients_[x.node] = gradients_[y.node];
    return true;
  }
  /// The gradient of the value that the pass starts at.
  void start(const Slot& y, const S* gradient) {
    if (y.differentiable) gradients_[y.node] = copy_buffer(gradient, y.size);
  }
  const Shared<S>& share(std::uint64_t node) const { return gradients_[node]; }
  void drop(std::uint64_t node) { gradients_[node].reset(); }

 private:
  /// Memory that no other value's gradient shares.
  S* own(const Slot& x) {
    auto& gradient = gradients_[x.node];
    if (gradient.use_count() > 1) gradient = copy_buffer(gradient.get(), x.size);
    return gradient.get();
  }
  std::vector<Shared<S>> gradients_;
};

/// One term of a sum of losses.
template <class S>
struct WeightedLoss {
  Variable<S, 0> loss;
  S weight = S(1);
};

/// Records one step's operations and owns what they saved. Made per step (under 1 us), used by one thread.
///
///     Tape<float> tape(Mode::training, rng);
///     auto loss = cross_entropy(model(tape.input(images)), labels);
///     optimizer.step(model, tape.backward(loss));
template <class S>
class Tape {
 public:
  explicit Tape(Mode mode, Records records = Records::on) : mode_(mode), recording_(records == Records::on) {}
  /// Splits an independent stream off `rng` for whatever the step draws.
  Tape(Mode mode, Rng& rng) : mode_(mode), rng_(rng.split()) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  ~Tape() { link_->tape = nullptr; }  // Variables that stay are plain values

  Mode mode() const { return mode_; }
  /// The step's random stream. Throws OptionError on a tape made without one.
  Rng& rng() {
    require<OptionError>(rng_.has_value(), "tape",
                         [] { return "this computation draws random numbers; make the tape with Tape(mode, rng)"; });
    return *rng_;
  }
  /// A copy of the tensor, on this tape. Integers are never differentiated, but carry the tape.
  template <class T>
  auto input(const T& tensor) {
    static_assert(TensorTraits<T>::value, "attend: a tape takes row-major Tensors or TensorMaps of them");
    using V = Variable<typename TensorTraits<T>::Scalar, TensorTraits<T>::rank>;
    return V(shape_of(tensor), copy_buffer<typename V::Scalar>(tensor.data(), tensor.size()),
             new_node(tensor.size(), false), link_);
  }
  /// Asks for the gradient of a value: of an input before computing with it, of an activation any time before backward.
  template <int R>
  Variable<S, R> want(const Variable<S, R>& v) {
    require<OptionError>(owns(v), "tape", [] { return "the value is not on this tape"; });
    require<OptionError>(can_want(v), "tape", [] { return "want(value) comes before computing with it"; });
    Node& node = nodes_[v.id().second];
    node.differentiable = node.wanted = true;
    return v;
  }
  /// Whether `want` is still possible.
  template <int R>
  bool can_want(const Variable<S, R>& v) const {
    return owns(v) && (nodes_[v.id().second].differentiable || !nodes_[v.id().second].used);
  }
  /// Gradients of the loss by every trainable parameter that took part, and by every wanted value. Unless kept, the
  /// tape is spent afterwards and its Variables are plain values.
  Gradients<S> backward(const Variable<S, 0>& loss, Keep keep = Keep::nothing) {
    return backward({{loss, S(1)}}, keep);
  }
  /// Gradients of sum_i weight_i loss_i, in one pass.
  Gradients<S> backward(std::initializer_list<WeightedLoss<S>> losses, Keep keep = Keep::nothing) {
    Pass<S> pass(nodes_.size());
    for (const auto& [loss, weight] : losses) {
      require_owned(loss);
      if (S* d = pass.add_to(slot(loss))) *d += weight;
    }
    return run(pass, keep);
  }
  /// The same from a given gradient of `y` (of y's size): what continues a chain that began elsewhere.
  template <int R>
  Gradients<S> backward_from(const Variable<S, R>& y, const S* dy, Keep keep = Keep::nothing) {
    Pass<S> pass(nodes_.size());
    require_owned(y);
    pass.start(slot(y), dy);
    return run(pass, keep);
  }

  // ---- for operations ----
  template <int R>
  Slot slot(const Variable<S, R>& v) const {
    if (!owns(v)) return {};
    return {v.id().second, nodes_[v.id().second].size, nodes_[v.id().second].differentiable};
  }
  ValueId new_node(Index size, bool differentiable) {
    require<OptionError>(link_->tape != nullptr, "tape",
                         [] { return "this tape is spent: make one per step, or keep it with Keep::tape"; });
    nodes_.push_back({size, differentiable && recording_, false, false});
    return {serial_, nodes_.size() - 1};
  }
  template <int R>
  void use(const Variable<S, R>& v) {
    if (owns(v)) nodes_[v.id().second].used = true;
  }
  /// `run` is called in the backward pass if a gradient reached one of the nodes [first, last].
  void record(std::uint64_t first, std::uint64_t last, BackwardStep<S> run) {
    records_.push_back({first, last, std::move(run)});
  }
  void report(const Moments<S>& moments) { moments_.pool(moments); }
  const Gradients<S>& reported() const { return moments_; }
  const Shared<TapeLink>& link() const { return link_; }
  const std::optional<Rng>& stream() const { return rng_; }
  void set_stream(const Rng& rng) { rng_ = rng; }
  bool recording() const { return recording_; }
  /// A parameter is one value per tape, however often it enters.
  ValueId leaf(const ParameterData<S>& p) {
    const auto [found, fresh] = leaves_.try_emplace(p.id(), Leaf{0, p.version()});
    if (fresh) found->second.node = new_node(p.size(), true).second;
    require<OptionError>(found->second.version == p.version(), "tape",
                         [] { return "a parameter was edited while on this tape"; });
    return {serial_, found->second.node};
  }
  Slot leaf_slot(const ParameterData<S>& p) {
    const std::uint64_t node = leaf(p).second;
    return {node, nodes_[node].size, nodes_[node].differentiable};
  }
  /// Memory that outlives the call: the value's own buffer or, made once per borrowed value, a copy.
  template <class T, int R>
  Shared<const T> keep(const Variable<T, R>& v) {
    if (v.buffer()) return v.buffer();
    auto& copy = copies_[v.id().second];
    if (!copy) copy = copy_buffer(v.data(), v.size());
    return std::static_pointer_cast<const T>(copy);
  }
  std::size_t copies() const { return copies_.size(); }

 private:
  template <int R>
  bool owns(const Variable<S, R>& v) const {
    return link_->tape && v.id().first == serial_;  // else: a constant beside it
  }
  template <int R>
  void require_owned(const Variable<S, R>& v) const {
    require<OptionError>(owns(v), "backward",
                         [] { return "the loss is not on this tape, or the tape is spent (Keep::tape keeps it)"; });
  }
  /// Recording order is a topological order, so one sweep from the last record to the first is the whole pass.
  Gradients<S> run(Pass<S>& pass, Keep keep) {
    if (keep == Keep::nothing) link_->tape = nullptr;  // also if a closure throws
    for (auto record = records_.rbegin(); record != records_.rend(); ++record) {
      bool arrived = false;
      for (std::uint64_t n = record->first; n <= record->last; ++n) arrived = arrived || pass.arrived(n);
      if (arrived) record->run(pass);
      for (std::uint64_t n = record->first; n <= record->last; ++n)
        if (!nodes_[n].wanted) pass.drop(n);
      if (keep == Keep::nothing) record->run.release();
    }
    Gradients<S> result = moments_;
    for (std::uint64_t n = 0; n < nodes_.size(); ++n)
      if (nodes_[n].wanted)
        result.set(ValueId{serial_, n},
                   {pass.arrived(n) ? pass.share(n) : make_buffer<S>(nodes_[n].size, S(0)), nodes_[n].size});
    for (const auto& [parameter, leaf] : leaves_)
      if (pass.arrived(leaf.node)) result.set(parameter, {pass.share(leaf.node), nodes_[leaf.node].size});
    if (keep == Keep::nothing) {
      records_.clear();
      copies_.clear();
    }
    return result;
  }
  struct Node {
    Index size;
    bool differentiable, wanted, used;
  };
  struct Record {
    std::uint64_t first, last;
    BackwardStep<S> run;
  };
  struct Leaf {
    std::uint64_t node, version;
  };
  Mode mode_;
  bool recording_ = true;
  std::optional<Rng> rng_;
  std::uint64_t serial_ = next_serial();
  Shared<TapeLink> link_ = std::make_shared<TapeLink>(TapeLink{this, &type_tag<S>});
  std::vector<Node> nodes_;
  std::vector<Record> records_;
  std::unordered_map<std::uint64_t, Leaf> leaves_;
  std::unordered_map<std::uint64_t, Shared<const void>> copies_;
  Gradients<S> moments_;
};

/// The live tape of the arguments, or null. Two tapes, or a tape of another scalar, throw.
template <class S, class... V>
Tape<S>* common_tape(const char* operation, const V&... inputs) {
  Tape<S>* tape = nullptr;
  const auto join = [&](const Shared<TapeLink>* link) {
    if (!link || !*link || !(*link)->tape) return;
    require<OptionError>((*link)->scalar == &type_tag<S>, operation,
                         [] { return "an argument is on a tape of another scalar type"; });
    require<OptionError>(!tape || tape == (*link)->tape, operation, [] { return "the arguments are on two tapes"; });
    tape = static_cast<Tape<S>*>((*link)->tape);
  };
  (join(&inputs.raw_link()), ...);
  return tape;
}

ATTEND_END
