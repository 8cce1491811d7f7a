#include "attend/core/threads.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <set>
#include <stdexcept>

namespace threads_test {
namespace {

struct Restored : ::testing::Test {
  int before = attend::num_threads();
  ~Restored() override { attend::set_num_threads(before); }
};
using Threads = Restored;
using FM_2_5 = Restored;

int threads_of_this_process() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "Threads:") return status >> word, std::stoi(word);
  return -1;
}

std::vector<std::array<std::ptrdiff_t, 2>> chunks_of(std::ptrdiff_t count, std::ptrdiff_t grain) {
  std::mutex mutex;
  std::vector<std::array<std::ptrdiff_t, 2>> chunks;
  attend::parallel_for(count, grain, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    const std::lock_guard<std::mutex> lock(mutex);
    chunks.push_back({begin, end});
  });
  std::sort(chunks.begin(), chunks.end());
  return chunks;
}

TEST_F(Threads, AFreshProcessHasOneThreadPerUsableProcessorAndOneThreadStartsNone) {
  EXPECT_EQ(attend::num_threads(), attend::detail::usable_processors());
  attend::set_num_threads(1);
  const int threads = threads_of_this_process();
  chunks_of(100, 1);
  EXPECT_LE(threads_of_this_process(), threads);
}

TEST_F(Threads, TheNumberOfThreadsIsHonouredExactly) {
  std::thread([] {}).join();  // a sanitizer starts its own thread with the first one
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  attend::set_num_threads(1);
  const int alone = threads_of_this_process();
  for (int n : {2, 5, 3, 1, 4, 1}) {
    attend::set_num_threads(n);
    EXPECT_EQ(attend::num_threads(), n);
    chunks_of(64, 1);
    for (int i = 0; i < 1000 && threads_of_this_process() != alone + n - 1;
         ++i)  // the kernel's count lags behind a join
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(threads_of_this_process(), alone + n - 1);
  }
  EXPECT_THROW(attend::set_num_threads(0), attend::OptionError);
  EXPECT_THROW(attend::set_num_threads(-3), attend::OptionError);
}

TEST_F(Threads, ChunksCoverTheRangeOnceAndDependOnCountAndGrainAlone) {
  for (std::ptrdiff_t count : {0, 1, 2, 7, 64, 1000})
    for (std::ptrdiff_t grain : {-1, 0, 1, 3, 64, 5000}) {
      std::vector<std::array<std::ptrdiff_t, 2>> expected;
      const std::ptrdiff_t step = std::max<std::ptrdiff_t>(grain, 1);
      for (std::ptrdiff_t i = 0; i < count; i += step) expected.push_back({i, std::min(count, i + step)});
      for (int n : {1, 2, 4}) {
        attend::set_num_threads(n);
        EXPECT_EQ(chunks_of(count, grain), expected) << count << " by " << grain << " on " << n;
      }
    }
}

TEST_F(Threads, BackwardsTheSameChunksComeFromTheLastToTheFirst) {
  const auto expected = [] {
    attend::set_num_threads(1);
    return chunks_of(100, 7);
  }();
  for (int n : {1, 2, 4}) {
    attend::set_num_threads(n);
    std::mutex mutex;
    std::map<std::thread::id, std::vector<std::ptrdiff_t>> begins;
    std::vector<std::array<std::ptrdiff_t, 2>> chunks;
    attend::parallel_for(
        100, 7,
        [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
          const std::lock_guard<std::mutex> lock(mutex);
          begins[std::this_thread::get_id()].push_back(begin);
          chunks.push_back({begin, end});
        },
        true);
    std::sort(chunks.begin(), chunks.end());
    EXPECT_EQ(chunks, expected) << n;
    for (const auto& [thread, own] : begins) {  // in each of the n shares that it went through
      int ascents = 0;
      for (std::size_t i = 1; i < own.size(); ++i) ascents += own[i] > own[i - 1] ? 1 : 0;
      EXPECT_LT(ascents, n);
    }
  }
}

TEST_F(Threads, WhoIsThroughTakesFromTheSharesOfOthers) {
  attend::set_num_threads(2);
  std::atomic<int> done{0};
  attend::parallel_for(8, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (begin == 0 && done < 7 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    EXPECT_TRUE(begin != 0 || done == 7);
    ++done;
  });
}

TEST_F(Threads, AllThreadsTakePart) {
  attend::set_num_threads(3);
  std::atomic<int> arrived{0};
  attend::parallel_for(3, 1, [&](std::ptrdiff_t, std::ptrdiff_t) {  // ends only when three threads are in it at once
    arrived.fetch_add(1);
    while (arrived.load() < 3) std::this_thread::yield();
  });
  EXPECT_EQ(arrived.load(), 3);
}

TEST_F(Threads, ManyShortLoopsOfChangingSizeAllFinish) {
  for (int round = 0; round < 3000; ++round) {
    if (round % 500 == 0) attend::set_num_threads(1 + round / 500 % 4);
    std::atomic<std::ptrdiff_t> sum{0};
    const std::ptrdiff_t count = 1 + round % 13;
    attend::parallel_for(count, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t) { sum.fetch_add(begin); });
    ASSERT_EQ(sum.load(), count * (count - 1) / 2);
    if (round % 100 == 0)
      std::this_thread::sleep_for(std::chrono::microseconds(200));  // workers fall asleep in between
  }
}

TEST_F(Threads, PartialSumsAddedInChunkOrderAreTheSameBits) {
  const auto sum = [] {
    std::vector<float> partial(100);
    attend::parallel_for(10000, 100, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (std::ptrdiff_t i = begin; i < end; ++i)
        partial[static_cast<std::size_t>(begin / 100)] += std::sin(static_cast<float>(i));
    });
    return std::accumulate(partial.begin(), partial.end(), 0.0f);
  };
  attend::set_num_threads(1);
  const float alone = sum();
  for (int n : {2, 3, 8}) {
    attend::set_num_threads(n);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(sum(), alone);
  }
}

TEST_F(Threads, AQuotaGivesWholeProcessorsRoundedUpAndNeverNone) {
  using attend::detail::within_quota;
  EXPECT_EQ(within_quota(8, 0, 0), 8);        // "max"
  EXPECT_EQ(within_quota(8, -1, 100000), 8);  // version 1's "no limit"
  EXPECT_EQ(within_quota(8, 150000, 100000), 2);
  EXPECT_EQ(within_quota(8, 1000, 100000), 1);
  EXPECT_EQ(within_quota(2, 1e12, 100000), 2);
}

/// A system's files, in a folder of its own.
struct ControlGroups : ::testing::Test {
  const std::filesystem::path top =
      std::filesystem::path(testing::TempDir()) / ("attend_cgroup_" + std::to_string(getpid()));
  ControlGroups() { std::filesystem::remove_all(top); }
  ~ControlGroups() override { std::filesystem::remove_all(top); }
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((top / path).parent_path());
    std::ofstream(top / path) << text << "\n";
  }
  int processors(int of) const { return attend::detail::within_control_groups(of, top.string()); }
};

TEST_F(ControlGroups, WithoutAnyTheMachineCounts) { EXPECT_EQ(processors(8), 8); }

TEST_F(ControlGroups, OfVersion2TheTightestOfThisAndTheSurroundingGroupsCounts) {
  write("proc/self/cgroup", "0::/pod/container");
  write("sys/fs/cgroup/pod/container/cpu.max", "max 100000");
  EXPECT_EQ(processors(8), 8);
  write("sys/fs/cgroup/pod/cpu.max", "350000 100000");
  EXPECT_EQ(processors(8), 4);
  write("sys/fs/cgroup/pod/container/cpu.max", "50000 50000");
  EXPECT_EQ(processors(8), 1);
}

TEST_F(ControlGroups, OfVersion2InANamespaceOfItsOwnTheRootCounts) {
  write("proc/self/cgroup", "0::/");
  write("sys/fs/cgroup/cpu.max", "200000 100000");
  EXPECT_EQ(processors(8), 2);
}

TEST_F(ControlGroups, OfVersion1TheProcessorControllerCounts) {
  write("proc/self/cgroup", "12:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n1:name=systemd:/docker/a");
  write("sys/fs/cgroup/cpu/docker/a/cpu.cfs_quota_us", "-1");
  write("sys/fs/cgroup/cpu/docker/a/cpu.cfs_period_us", "100000");
  EXPECT_EQ(processors(8), 8);
  write("sys/fs/cgroup/cpu/docker/a/cpu.cfs_quota_us", "250000");
  EXPECT_EQ(processors(8), 3);
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000");  // a container sees its own group as the root
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
  EXPECT_EQ(processors(8), 1);
}

TEST_F(Threads, TheAffinityMaskCounts) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
  int first = 0;
  while (!CPU_ISSET(first, &all)) ++first;
  std::thread([&] {  // as taskset does for a whole process
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(attend::detail::usable_processors(), 1);
  })
      .join();
  EXPECT_LE(attend::detail::usable_processors(), CPU_COUNT(&all));
}

TEST_F(FM_2_5, nested_calls_run_inline) {
  attend::set_num_threads(4);
  std::atomic<int> inner{0};
  attend::parallel_for(8, 1, [&](std::ptrdiff_t, std::ptrdiff_t) {
    const auto self = std::this_thread::get_id();
    attend::parallel_for(5, 1, [&](std::ptrdiff_t, std::ptrdiff_t) {
      EXPECT_EQ(std::this_thread::get_id(), self);
      ++inner;
    });
  });
  EXPECT_EQ(inner.load(), 40);
}

TEST_F(FM_2_5, the_number_of_threads_may_change_inside_a_loop) {
  attend::set_num_threads(3);
  attend::parallel_for(8, 1, [&](std::ptrdiff_t, std::ptrdiff_t) { attend::set_num_threads(2); });
  EXPECT_EQ(attend::num_threads(), 2);
  EXPECT_EQ(chunks_of(10, 1).size(), 10u);
}

TEST_F(FM_2_5, worker_exception_reaches_the_caller_and_the_pool_lives_on) {
  for (int n : {1, 2, 4}) {
    attend::set_num_threads(n);
    for (int round = 0; round < 100; ++round) {
      std::atomic<int> ran{0};
      try {
        attend::parallel_for(1000, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t) {
          ++ran;
          if (begin == 3) throw std::runtime_error("chunk 3");
        });
        FAIL() << "nothing was thrown";
      } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "chunk 3");
      }
      EXPECT_GE(ran.load(), 1);
      EXPECT_EQ(chunks_of(20, 1).size(), 20u);
    }
  }
}

TEST_F(FM_2_5, an_exception_leaves_the_caller_outside_the_loop) {
  attend::set_num_threads(2);
  EXPECT_THROW(attend::parallel_for(9, 1, [](std::ptrdiff_t, std::ptrdiff_t) { throw 7; }), int);
  std::set<std::thread::id> ids;
  std::mutex mutex;
  std::atomic<int> arrived{0};
  attend::parallel_for(2, 1, [&](std::ptrdiff_t, std::ptrdiff_t) {  // parallel again, not inline
    ++arrived;
    while (arrived.load() < 2) std::this_thread::yield();
    const std::lock_guard<std::mutex> lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(ids.size(), 2u);
}

TEST_F(FM_2_5, several_callers_at_once_never_deadlock) {
  attend::set_num_threads(3);
  std::vector<std::thread> callers;
  std::atomic<std::ptrdiff_t> sum{0};
  for (int c = 0; c < 6; ++c)
    callers.emplace_back([&] {
      for (int round = 0; round < 300; ++round)
        attend::parallel_for(10, 1, [&](std::ptrdiff_t begin, std::ptrdiff_t) { sum.fetch_add(begin); });
    });
  std::thread resizer([] {
    for (int round = 0; round < 50; ++round) attend::set_num_threads(1 + round % 4);
  });
  for (std::thread& caller : callers) caller.join();
  resizer.join();
  EXPECT_EQ(sum.load(), 6 * 300 * 45);
}

TEST_F(FM_2_5, a_forked_child_runs_inline_and_exits) {
  attend::set_num_threads(3);
  chunks_of(100, 1);  // the pool runs in the parent
  const pid_t child = fork();
  if (child == 0) {
    alarm(10);
    const auto self = std::this_thread::get_id();
    bool inline_only = true;
    attend::parallel_for(100, 1, [&](std::ptrdiff_t, std::ptrdiff_t) {
      inline_only = inline_only && std::this_thread::get_id() == self;
    });
    attend::set_num_threads(2);
    attend::parallel_for(100, 1, [](std::ptrdiff_t, std::ptrdiff_t) {});
    std::exit(inline_only ? 42 : 1);  // runs the destructors of statics
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
  EXPECT_EQ(chunks_of(100, 1).size(), 100u);
}

TEST_F(FM_2_5, workers_take_no_signals) {
  attend::set_num_threads(2);
  std::atomic<int> arrived{0};
  const auto self = std::this_thread::get_id();
  attend::parallel_for(2, 1, [&](std::ptrdiff_t, std::ptrdiff_t) {
    ++arrived;
    while (arrived.load() < 2) std::this_thread::yield();
    if (std::this_thread::get_id() == self) return;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    EXPECT_EQ(sigismember(&blocked, SIGINT), 1);
  });
  sigset_t mine;
  pthread_sigmask(SIG_SETMASK, nullptr, &mine);
  EXPECT_EQ(sigismember(&mine, SIGINT), 0);
}

/// Loops still run, in their caller, when the pool has gone with the other statics.
struct LastWords {
  ~LastWords() {
    std::atomic<int> chunks{0};  // a process that has run no loop yet starts its pool here
    attend::parallel_for(10, 1, [&](std::ptrdiff_t, std::ptrdiff_t) { ++chunks; });
    if (chunks.load() != 10) std::_Exit(3);
    attend::set_num_threads(4);
  }
};
LastWords last_words;  // before the pool starts, so it dies after it

TEST_F(FM_2_5, loops_after_the_pool_has_ended_run_inline) {
  attend::set_num_threads(2);
  chunks_of(10, 1);
  EXPECT_EXIT((chunks_of(10, 1), std::exit(5)), ::testing::ExitedWithCode(5), "");
}

}  // namespace
}  // namespace threads_test
