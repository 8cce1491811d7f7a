#pragma once
/// The library's threads. `parallel_for` hands fixed chunks of indices to a pool that starts at its first use. What a
/// chunk is depends on the problem alone, so results are the same bits for any number of threads. Each thread starts with
/// a share of its own, the same in loops of the same count: what one loop left in a core's cache the next one finds there.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#endif

#include "attend/core/error.hpp"
#include "attend/core/inline.hpp"
#include "attend/core/processors.hpp"

ATTEND_BEGIN
namespace detail {

inline long process_id() {
#if defined(__unix__) || defined(__APPLE__)
  return static_cast<long>(::getpid());
#else
  return 0;
#endif
}

/// Lets the other hyperthread work while this one waits.
inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

/// A thread started with every signal blocked: the user's handlers run on the user's threads.
template <class F>
std::thread quiet_thread(F&& body) {
#if defined(__unix__) || defined(__APPLE__)
  struct Blocked {
    sigset_t before;
    Blocked() {
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &before);
    }
    ~Blocked() { pthread_sigmask(SIG_SETMASK, &before, nullptr); }
  } blocked;
#endif
  return std::thread(std::forward<F>(body));
}

/// One loop at a time. Its chunks are cut into as many shares as there are threads; whoever is through with its own helps
/// with the others'. The loop's caller works too, and closes the gate when no chunk is left: a worker that wakes late finds
/// it closed and is not waited for.
class ThreadPool {
 public:
  using Body = void (*)(const void* f, std::ptrdiff_t begin, std::ptrdiff_t end);

  ThreadPool() = default;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() { resize(0); }

  long owner() const { return owner_; }
  std::mutex& turn() { return turn_; }  // held by whoever runs a loop or changes the number of workers

  /// Starts or joins threads; one that the system refuses is done without.
  void resize(std::size_t workers) {
    if (workers < workers_.size()) {
      {
        const std::lock_guard<std::mutex> lock(sleep_);
        stop_.store(true);
      }
      wake_.notify_all();
      for (std::thread& worker : workers_) worker.join();
      workers_.clear();
      stop_.store(false);
    }
    workers_.reserve(workers);
    if (shares_.size() < workers + 1) shares_ = std::vector<Share>(workers + 1);
    try {
      while (workers_.size() < workers)
        workers_.push_back(quiet_thread([this, own = workers_.size() + 1] { serve(own); }));
    } catch (const std::system_error&) {
    }
  }

  /// Needs `turn()`. Runs every chunk, on this thread and the workers; rethrows the first exception, whose later chunks
  /// are dropped.
  void run(Body body, const void* f, std::ptrdiff_t count, std::ptrdiff_t grain, bool backwards) {
    body_ = body, f_ = f, count_ = count, grain_ = grain, backwards_ = backwards, threads_ = workers_.size() + 1;
    const std::ptrdiff_t chunks = (count - 1) / grain + 1, threads = static_cast<std::ptrdiff_t>(threads_);
    for (std::ptrdiff_t t = 0, begin = 0; t < threads; ++t) {
      Share& share = shares_[static_cast<std::size_t>(t)];
      share.begin = begin, share.end = begin += chunks / threads + (t < chunks % threads ? 1 : 0);
      share.next.store(share.begin, std::memory_order_relaxed);
    }
    failed_.store(false, std::memory_order_relaxed);
    gate_.store(((gate_.load(std::memory_order_relaxed) >> 32) + 1) << 32 | open_);
    if (sleepers_.load() > 0) {
      { const std::lock_guard<std::mutex> lock(sleep_); }
      for (std::ptrdiff_t i = std::min(chunks, threads) - 1; i > 0; --i) wake_.notify_one();
    }
    work(0);
    gate_.fetch_and(~open_);
    const auto all_left = [this] { return (gate_.load() & inside_) == 0; };
    if (!spin_until(all_left)) {
      std::unique_lock<std::mutex> lock(sleep_);
      caller_waits_.store(true);
      left_.wait(lock, all_left);
      caller_waits_.store(false);
    }
    if (failed_.load(std::memory_order_relaxed)) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  static inline thread_local bool inside_loop = false;

 private:
  /// Chunks [next, end) are still to go.
  struct alignas(64) Share {
    std::atomic<std::ptrdiff_t> next{0};
    std::ptrdiff_t begin = 0, end = 0;
  };
  static constexpr std::uint64_t inside_ = (std::uint64_t(1) << 24) - 1, open_ = std::uint64_t(1) << 24;

  /// Waits tens of microseconds at most: as long as going to sleep and being woken would take.
  template <class Ready>
  static bool spin_until(const Ready& ready) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
    do {
      for (int i = 0; i < 32; ++i) {
        if (ready()) return true;
        relax();
      }
    } while (std::chrono::steady_clock::now() < end);
    return false;
  }

  /// The share of thread number `own`, then what the others have left.
  void work(std::size_t own) noexcept {
    inside_loop = true;
    for (std::size_t t = 0; t < threads_; ++t) {
      Share& share = shares_[(own + t) % threads_];
      for (std::ptrdiff_t i; (i = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;) try {
          const std::ptrdiff_t chunk = backwards_ ? share.begin + share.end - 1 - i : i;
          body_(f_, chunk * grain_, std::min(count_, (chunk + 1) * grain_));
        } catch (...) {
          if (!failed_.exchange(true)) error_ = std::current_exception();
          for (std::size_t other = 0; other < threads_; ++other)
            shares_[other].next.store(shares_[other].end, std::memory_order_relaxed);
        }
    }
    inside_loop = false;
  }

  void serve(std::size_t own) {
    std::uint64_t seen = 0;
    const auto called = [&] {
      const std::uint64_t gate = gate_.load();
      return stop_.load() || ((gate & open_) != 0 && gate >> 32 != seen);
    };
    for (;;) {
      if (!spin_until(called)) {
        std::unique_lock<std::mutex> lock(sleep_);
        sleepers_.fetch_add(1);
        wake_.wait(lock, called);
        sleepers_.fetch_sub(1);
      }
      if (stop_.load()) return;
      std::uint64_t gate = gate_.load();
      while ((gate & open_) != 0 && gate >> 32 != seen) {
        if (!gate_.compare_exchange_weak(gate, gate + 1)) continue;
        seen = gate >> 32;
        work(own);
        const std::uint64_t after = gate_.fetch_sub(1) - 1;
        if ((after & (inside_ | open_)) == 0 && caller_waits_.load()) {
          { const std::lock_guard<std::mutex> lock(sleep_); }
          left_.notify_one();
        }
        break;
      }
    }
  }

  const long owner_ = process_id();
  std::mutex turn_, sleep_;
  std::condition_variable wake_, left_;
  std::vector<std::thread> workers_;
  std::atomic<bool> stop_{false}, caller_waits_{false}, failed_{false};
  std::atomic<int> sleepers_{0};
  alignas(64) std::atomic<std::uint64_t> gate_{0};  // number of the loop | open | threads inside
  alignas(64) Body body_ = nullptr;
  const void* f_ = nullptr;
  std::ptrdiff_t count_ = 0, grain_ = 1;
  std::size_t threads_ = 1;
  bool backwards_ = false;
  std::vector<Share> shares_;
  std::exception_ptr error_;
};

/// The pool and its wanted size. Ends with the program's statics; loops after that, and loops in a forked child, run on
/// their caller alone. The child leaves the parent's pool untouched: its threads, and who holds its locks, did not come
/// along.
class Threads {
 public:
  static int wanted() {
    int n = wanted_.load(std::memory_order_relaxed);
    if (n == 0) wanted_.compare_exchange_strong(n, usable_processors());
    return wanted_.load(std::memory_order_relaxed);
  }
  static void want(int n) {
    wanted_.store(n);
    if (ThreadPool::inside_loop || !started_.load()) return;
    if (ThreadPool* pool = live()) {
      const std::lock_guard<std::mutex> turn(pool->turn());
      pool->resize(static_cast<std::size_t>(n - 1));
    }
  }
  /// The pool, its turn taken and its size as wanted; nullptr when it is busy or not to be used here.
  static ThreadPool* take() {
    ThreadPool* pool = live();
    if (!pool || !pool->turn().try_lock()) return nullptr;
    try {
      pool->resize(static_cast<std::size_t>(wanted() - 1));
    } catch (...) {
      pool->turn().unlock();
      throw;
    }
    return pool;
  }

 private:
  struct Owner {
    ThreadPool* pool = new ThreadPool;
    ~Owner() {
      ended_.store(true);
      if (pool->owner() == process_id()) delete pool;
    }
  };
  static ThreadPool* live() {
    if (ended_.load()) return nullptr;
    static Owner owner;
    started_.store(true);
    return owner.pool->owner() == process_id() ? owner.pool : nullptr;
  }
  static inline std::atomic<int> wanted_{0};
  static inline std::atomic<bool> started_{false}, ended_{false};  // trivially destructible: readable to the very end
};

/// One copy in the program of what parallel_for does with every kind of body.
ATTEND_OUT_OF_LINE inline void run_chunks(std::ptrdiff_t count, std::ptrdiff_t grain, ThreadPool::Body body,
                                          const void* f, bool backwards) {
  if (!ThreadPool::inside_loop && Threads::wanted() > 1) {
    if (ThreadPool* pool = Threads::take()) {
      const std::lock_guard<std::mutex> turn(pool->turn(), std::adopt_lock);
      return pool->run(body, f, count, grain, backwards);
    }
  }
  const std::ptrdiff_t chunks = (count - 1) / grain + 1;
  for (std::ptrdiff_t i = 0; i < chunks; ++i) {
    const std::ptrdiff_t begin = (backwards ? chunks - 1 - i : i) * grain;
    body(f, begin, std::min(count, begin + grain));
  }
}

}  // namespace detail

/// How many threads a loop may use, its caller included. From the start: the processors this process may use.
inline int num_threads() { return detail::Threads::wanted(); }

/// From the next loop on, exactly `n` threads, the caller included; 1 starts none. Safe from any thread.
inline void set_num_threads(int n) {
  require<OptionError>(n >= 1, "set_num_threads", [&] { return message("n is ", n, "; it must be 1 or more"); });
  detail::Threads::want(n);
}

/// Calls f(begin, end) on the chunks [0, grain), [grain, 2 grain), ... of [0, count), once each, in any order and on
/// any thread. Chunks depend on count and grain alone; whoever sums over chunks keeps one partial sum per chunk and
/// adds them in order. `backwards`: each thread takes its chunks from the last to the first. Runs in the caller alone,
/// chunk by chunk in order: one chunk, a loop inside a loop, a pool busy with another caller's loop, one thread, a forked
/// child. The first exception stops further chunks and reaches the caller.
template <class F>
void parallel_for(std::ptrdiff_t count, std::ptrdiff_t grain, const F& f, bool backwards = false) {
  if (count <= 0) return;
  grain = std::max<std::ptrdiff_t>(grain, 1);
  if (grain >= count) return f(std::ptrdiff_t(0), count);
  detail::run_chunks(
      count, grain,
      [](const void* g, std::ptrdiff_t begin, std::ptrdiff_t end) { (*static_cast<const F*>(g))(begin, end); }, &f,
      backwards);
}

ATTEND_END
