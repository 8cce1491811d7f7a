#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "attend/core/bulk_memory.hpp"
#include "attend/core/large_memory.hpp"
#include "attend/core/tensor.hpp"

ATTEND_BEGIN

/// Keeps the memory of dead values, per thread, for the next value of its size class (four classes per power of two).
/// A block belongs to no thread: it goes to the list of the thread that drops it, so no lock is needed. A value that
/// dies after its thread's list (a static, a thread_local) frees its block at once.
class Recycler {
 public:
  static void* acquire(std::size_t bytes) {
    const SizeClass size = size_class(bytes);
    if (!closed_) {
      List& list = own();
      if (Block* block = list.head[size.index]) {
        list.head[size.index] = block->next;
        list.held -= size.bytes;
        return block;
      }
    }
    return detail::new_memory(size.bytes, bytes);
  }
  static void give_back(void* memory, std::size_t bytes) noexcept {
    const SizeClass size = size_class(bytes);
    if (!closed_) {
      List& list = own();
      if (list.held + size.bytes <= limit_.load(std::memory_order_relaxed)) {
        list.head[size.index] = new (memory) Block{list.head[size.index]};
        list.held += size.bytes;
        return;
      }
    }
    detail::delete_memory(memory, size.bytes);
  }
  /// Frees what is held: this thread's at once, another thread's at its next use of the recycler or its end.
  static void release() {
    generation_.fetch_add(1, std::memory_order_relaxed);
    own();
  }
  /// Fills what this thread's list holds with NaN bytes: tests find values that were never written.
  static void poison() noexcept {
    if (!closed_) own().poison();
  }
  static void set_limit(std::size_t bytes_per_thread) { limit_.store(bytes_per_thread, std::memory_order_relaxed); }
  static std::size_t held() { return own().held; }

 private:
  struct Block {
    Block* next;
  };
  struct SizeClass {
    std::size_t index, bytes;
  };
  struct List {
    std::array<Block*, 224> head{};
    std::size_t held = 0;
    unsigned generation = 0;
    void clear() noexcept {
      for (std::size_t index = 0; index < head.size(); ++index)
        while (Block* const block = head[index]) {
          head[index] = block->next;
          detail::delete_memory(block, class_bytes(index));
        }
      held = 0;
    }
    void poison() noexcept {
      for (std::size_t index = 0; index < head.size(); ++index)
        for (Block* block = head[index]; block; block = block->next)
          std::memset(reinterpret_cast<char*>(block) + sizeof(Block), 0xff, class_bytes(index) - sizeof(Block));
    }
    ~List() {
      clear();
      closed_ = true;
    }
  };
  static SizeClass size_class(std::size_t wanted) {
    wanted = std::max<std::size_t>(wanted, 256);
    std::size_t power = 8;
    while ((std::size_t(1) << power) < wanted) ++power;
    const std::size_t half = std::size_t(1) << (power - 1), step = half / 4, steps = (wanted - half + step - 1) / step;
    return {(power - 8) * 4 + steps - 1, half + steps * step};
  }
  static std::size_t class_bytes(std::size_t index) {
    return (std::size_t(1) << (index / 4 + 7)) + (index % 4 + 1) * (std::size_t(1) << (index / 4 + 5));
  }
  static List& own() {
    thread_local List list;
    const unsigned now = generation_.load(std::memory_order_relaxed);
    if (list.generation != now) {
      list.clear();
      list.generation = now;
    }
    return list;
  }
  static inline thread_local bool closed_ = false;  // trivially destructible: readable after the list is gone
  static inline std::atomic<unsigned> generation_{0};
  static inline std::atomic<std::size_t> limit_{std::size_t(256) << 20};
};

template <class T>
struct RecyclingAllocator {
  using value_type = T;
  RecyclingAllocator() = default;
  template <class U>
  RecyclingAllocator(const RecyclingAllocator<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(Recycler::acquire(n * sizeof(T))); }
  void deallocate(T* p, std::size_t n) noexcept { Recycler::give_back(p, n * sizeof(T)); }
  template <class U>
  bool operator==(const RecyclingAllocator<U>&) const {
    return true;
  }
  template <class U>
  bool operator!=(const RecyclingAllocator<U>&) const {
    return false;
  }
};

/// A std::shared_ptr that is copied and released by calls: in the hundreds of places that hold values, their code would be a
/// good part of a program.
template <class T>
class Shared : public std::shared_ptr<T> {
 public:
  using std::shared_ptr<T>::shared_ptr;
  Shared() = default;
  Shared(std::shared_ptr<T> other) noexcept : std::shared_ptr<T>(std::move(other)) {}
  ATTEND_OUT_OF_LINE Shared(const Shared&) = default;
  Shared(Shared&&) = default;
  ATTEND_OUT_OF_LINE Shared& operator=(const Shared&) = default;
  ATTEND_OUT_OF_LINE Shared& operator=(Shared&&) = default;
  ATTEND_OUT_OF_LINE ~Shared() = default;
};

/// `count` uninitialised elements, 64-byte aligned; the counter is recycled as well.
template <class S>
Shared<S> make_buffer(Index count) {
  const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(S);
  return Shared<S>(
      static_cast<S*>(Recycler::acquire(bytes)), [bytes](S* p) { Recycler::give_back(p, bytes); },
      RecyclingAllocator<S>());
}
template <class S>
Shared<S> make_buffer(Index count, S value) {
  auto buffer = make_buffer<S>(count);
  detail::fill_bulk(buffer.get(), count, value);
  return buffer;
}
template <class S>
Shared<S> copy_buffer(const S* data, Index count) {
  auto buffer = make_buffer<S>(count);
  detail::copy_bulk(data, count, buffer.get());
  return buffer;
}

ATTEND_END
