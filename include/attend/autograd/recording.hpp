#pragma once
#include "attend/autograd/walk.hpp"

ATTEND_BEGIN

/// While it lives, this thread's calls leave here what the layers of `model` offer, under "path.of.layer.what".
class Recording {
 public:
  template <class Model>
  explicit Recording(const Model& model) : outer_(std::exchange(current_, this)) {
    walk(model_, model);
  }
  Recording(const Recording&) = delete;
  ~Recording() { current_ = outer_; }

  /// One entry per call, in order; empty if nothing of that name, scalar and rank was offered.
  template <int R, class S = float>
  std::vector<Variable<S, R>> all(const std::string& name) const {
    std::vector<Variable<S, R>> values;
    for (const Entry& e : entries_)
      if (e.name == name && e.type == &type_tag<Variable<S, R>>)
        values.push_back(*static_cast<const Variable<S, R>*>(e.value.get()));
    return values;
  }
  template <class S, int R>
  static void offer(const LayerKey& layer, const char* what, const Variable<S, R>& value) {
    for (Recording* r = current_; r; r = r->outer_) r->take(layer, what, value);
  }

 private:
  struct Entry {
    std::string name;
    const void* type;
    std::shared_ptr<const void> value;
  };
  template <class S, int R>
  void take(const LayerKey& layer, const char* what, const Variable<S, R>& value) {
    for (const auto& [key, path] : model_.layers) {
      if (!(key == layer)) continue;
      if (Tape<S>* tape = common_tape<S>("recording", value)) tape->want(value);
      entries_.push_back(
          {detail::join(path, what), &type_tag<Variable<S, R>>, std::make_shared<Variable<S, R>>(value.owned())});
      return;
    }
  }
  static inline thread_local Recording* current_ = nullptr;
  Recording* outer_;
  Walk<void> model_;
  std::vector<Entry> entries_;
};

/// A layer offers an intermediate result. Without a recording: one null check.
template <class Self, class S, int R>
void offer(const Self& layer, const char* what, const Variable<S, R>& value) {
  Recording::offer(key_of(layer), what, value);
}

ATTEND_END
