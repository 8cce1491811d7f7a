#pragma once
#include <utility>

#include "attend/core/shape.hpp"

ATTEND_BEGIN

/// While it lives, counts the multiply-adds of this thread's calls as the definitions have them, whatever the algorithm:
/// of matrix products, convolutions, recurrent cells and attention (scores and weighted sum, masked keys included).
/// Element-wise work, norms and pooling count nothing, nor does a backward pass. What fvcore and timm's benchmarks call
/// GMACs.
///
///     MultiplyAdds work;
///     model(image);
///     work.count()
///
/// It ends on the thread that made it; several may live at once.
class MultiplyAdds {
 public:
  MultiplyAdds() : outer_(std::exchange(current_, this)) {}
  MultiplyAdds(const MultiplyAdds&) = delete;
  ~MultiplyAdds() {  // whatever order they end in
    MultiplyAdds** link = &current_;
    while (*link && *link != this) link = &(*link)->outer_;
    if (*link) *link = outer_;
  }
  double count() const { return count_; }
  /// Does this thread count? Then its operations stay on it.
  static bool counting() { return current_ != nullptr; }

  /// For operations: the product of `extents`. Without a counter: one null check.
  template <class... I>
  static void add(I... extents) {
    for (MultiplyAdds* counter = current_; counter; counter = counter->outer_)
      counter->count_ += (1.0 * ... * static_cast<double>(extents));
  }

 private:
  static inline thread_local MultiplyAdds* current_ = nullptr;
  MultiplyAdds* outer_;
  double count_ = 0;
};

ATTEND_END
