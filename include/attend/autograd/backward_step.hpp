#pragma once
#include <memory>
#include <type_traits>
#include <utility>

#include "attend/core/namespace.hpp"

ATTEND_BEGIN

template <class S>
class Pass;

/// What an operation does in the backward pass, with all that it keeps for it: any callable of a Pass. It is moved, never
/// copied: std::function would have a copy of each closure compiled.
template <class S>
class BackwardStep {
 public:
  template <class F, class Kept = std::decay_t<F>, std::enable_if_t<!std::is_same_v<Kept, BackwardStep>, int> = 0>
  BackwardStep(F&& f) : kept_(new Kept(std::forward<F>(f)), &destroy<Kept>), call_(&call<Kept>) {}
  void operator()(Pass<S>& pass) const { call_(kept_.get(), pass); }
  /// Lets go of what it keeps; it is not called again.
  void release() { kept_.reset(); }

 private:
  template <class F>
  static void destroy(void* kept) {
    delete static_cast<F*>(kept);
  }
  template <class F>
  static void call(void* kept, Pass<S>& pass) {
    (*static_cast<F*>(kept))(pass);
  }
  std::unique_ptr<void, void (*)(void*)> kept_;
  void (*call_)(void*, Pass<S>&);
};

ATTEND_END
