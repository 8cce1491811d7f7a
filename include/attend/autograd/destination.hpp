#pragma once
#include <cstdint>

#include "attend/core/recycler.hpp"

ATTEND_BEGIN

/// While it lives, results that this thread makes on no tape, and that have exactly this memory's size, lie in it whenever
/// no other value does: so the last operation of a call mostly writes where the caller wants its result, and nothing is
/// copied. Which result that is cannot be known beforehand; whoever asks compares pointers afterwards.
class Destination {
 public:
  Destination(void* memory, std::size_t bytes)
      : memory_(memory),
        bytes_(bytes),
        taken_(std::allocate_shared<bool>(RecyclingAllocator<bool>(), false)),
        before_(current_) {
    current_ = this;
  }
  Destination(const Destination&) = delete;
  Destination& operator=(const Destination&) = delete;
  ~Destination() { current_ = before_; }
  /// Does a value still lie in the memory?
  bool taken() const { return *taken_; }

  /// Does this value lie in a destination of this thread? Whoever keeps it beyond the call copies it.
  static bool holds(const void* value) {
    for (const Destination* d = current_; d; d = d->before_)
      if (*d->taken_ && value == d->memory_) return true;
    return false;
  }

  /// Memory for a result: here if it fits, otherwise the recycler's.
  template <class S>
  static Shared<S> buffer(Index count) {
    Destination* const here = current_;
    if (!here || !here->memory_ || count <= 0 || static_cast<std::size_t>(count) * sizeof(S) != here->bytes_ ||
        *here->taken_ || reinterpret_cast<std::uintptr_t>(here->memory_) % alignof(S) != 0)
      return make_buffer<S>(count);
    *here->taken_ = true;
    return Shared<S>(
        static_cast<S*>(here->memory_), [taken = here->taken_](S*) { *taken = false; }, RecyclingAllocator<S>());
  }

 private:
  void* memory_;
  std::size_t bytes_;
  Shared<bool> taken_;
  Destination* before_;
  static inline thread_local Destination* current_ = nullptr;
};

ATTEND_END
