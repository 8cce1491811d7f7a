#pragma once
#include <unordered_map>

#include "attend/autograd/destination.hpp"
#include "attend/autograd/walk.hpp"

ATTEND_BEGIN

/// How Recording::map makes one map of what was recorded.
struct MapOptions {
  Index height = 0, width = 0;  ///< of the token grid that attention weights look at; 0: it is square
  Index prefix_tokens = 0;      ///< keys before the grid (class or register tokens), left out
  Index query = -1;             ///< the query whose weights are shown; -1: the mean over all
  Index head = -1;              ///< the head; -1: the mean over all
  Index call = -1;              ///< which of the layer's calls, from 0; -1: the last
};

/// While it lives, this thread's calls leave here what the layers of `model` offer, under "path.of.layer.what". It ends
/// on the thread that made it, and the model stays where it is meanwhile.
class Recording {
 public:
  template <class Model>
  explicit Recording(const Model& model) : outer_(std::exchange(current_, this)) {
    Walk<void> found;
    walk(found, model);
    for (const auto& [key, path] : found.layers) layers_.emplace(key, path);
  }
  Recording(const Recording&) = delete;
  ~Recording() {  // whatever order they end in
    Recording** link = &current_;
    while (*link && *link != this) link = &(*link)->outer_;
    if (*link) *link = outer_;
  }

  /// One entry per call, in order; empty if nothing of that name, scalar and rank was offered.
  template <int R, class S = float>
  std::vector<Variable<S, R>> all(const std::string& name) const {
    std::vector<Variable<S, R>> values;
    for (const Entry& e : entries_)
      if (e.name == name && e.type == &type_tag<Variable<S, R>>)
        values.push_back(*static_cast<const Variable<S, R>*>(e.value.get()));
    return values;
  }
  /// What was recorded, in order: one entry per call.
  struct Recorded {
    std::string name;
    std::vector<Index> shape;
  };
  std::vector<Recorded> recorded() const {
    std::vector<Recorded> list;
    for (const Entry& e : entries_) list.push_back({e.name, e.shape});
    return list;
  }

  // Reading for the eye; defined in explain/recording.hpp, which a program that calls them includes.

  /// Where a layer looked: (batch, height, width), of a gate (batch, height, width, 1) or of attention weights over a
  /// token grid, (batch, heads, queries, keys), (batch, queries, keys) or (batch, keys). `name` as recorded, or its
  /// layer's path if that layer (or one inside it) recorded one such value. OptionError if there is none or several, or
  /// no grid fits.
  Tensor<float, 3> map(const std::string& name, const MapOptions& options = {}) const;
  /// A channel gate: (batch, channels). `call` as in MapOptions.
  Tensor<float, 2> gate(const std::string& name, Index call = -1) const;

  /// While it lives, no recording of this thread takes anything: what a checkpointed block computes again is not news.
  class Pause {
   public:
    Pause() = default;
    Pause(const Pause&) = delete;
    ~Pause() { current_ = paused_; }

   private:
    Recording* paused_ = std::exchange(current_, nullptr);
  };

  // ---- for layers ----
  template <class S, int R>
  static void offer(const LayerKey& layer, const char* what, const Variable<S, R>& value) {
    for (Recording* r = current_; r; r = r->outer_) r->take(layer, what, value);
  }
  /// Does any recording of this thread take what this layer offers? Asked before making what costs something.
  static bool wants(const LayerKey& layer) {
    for (const Recording* r = current_; r; r = r->outer_)
      if (r->layers_.count(layer) > 0) return true;
    return false;
  }

 private:
  struct Entry {
    std::string name;
    std::vector<Index> shape;
    const void* type;
    Shared<const void> value;
  };
  struct Hash {
    std::size_t operator()(const LayerKey& key) const {
      return std::hash<const void*>()(key.address) * 31 + std::hash<const void*>()(key.type);
    }
  };
  const Entry& find_recorded(const char* operation, const std::string& name, Index call, bool spatial) const;
  template <class S, int R>
  void take(const LayerKey& layer, const char* what, const Variable<S, R>& value) {
    const auto known = layers_.find(layer);
    if (known == layers_.end()) return;
    Tape<S>* tape = common_tape<S>("recording", value);
    if (tape && tape->recording() && tape->can_want(value)) tape->want(value);
    entries_.push_back(
        {detail::join(known->second, what),
         {value.shape().begin(), value.shape().end()},
         &type_tag<Variable<S, R>>,
         std::make_shared<Variable<S, R>>(Destination::holds(value.data())
                                              ? Variable<S, R>(value.shape(), copy_buffer(value.data(), value.size()))
                                              : value.owned())});
  }
  static inline thread_local Recording* current_ = nullptr;
  Recording* outer_;
  std::unordered_map<LayerKey, std::string, Hash> layers_;
  std::vector<Entry> entries_;
};

/// A layer offers an intermediate result. Without a recording: one null check.
template <class Self, class S, int R>
void offer(const Self& layer, const char* what, const Variable<S, R>& value) {
  Recording::offer(key_of(layer), what, value);
}

ATTEND_END
