/// Steady-state inference asks the system for the memory of its result and no other.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "attend/blocks/basic_block.hpp"
#include "attend/layers/activation.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/global_pool.hpp"
#include "attend/layers/max_pool.hpp"
#include "attend/layers/sequential.hpp"
#include "attend/testing/gradient_check.hpp"

namespace inference_memory_test {
std::atomic<long> requests{0};

void* counted(std::size_t size, std::size_t alignment) {
  ++requests;
  const std::size_t whole = (std::max<std::size_t>(size, 1) + alignment - 1) / alignment * alignment;
  if (void* memory = std::aligned_alloc(alignment, whole)) return memory;
  throw std::bad_alloc();
}
ATTEND_OUT_OF_LINE void release(void* memory) noexcept { std::free(memory); }  // inlined, g++ would warn of a mismatch
}  // namespace inference_memory_test

void* operator new(std::size_t size) { return inference_memory_test::counted(size, alignof(std::max_align_t)); }
void* operator new[](std::size_t size) { return inference_memory_test::counted(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return inference_memory_test::counted(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return inference_memory_test::counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { inference_memory_test::release(memory); }
void operator delete[](void* memory) noexcept { inference_memory_test::release(memory); }
void operator delete(void* memory, std::size_t) noexcept { inference_memory_test::release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { inference_memory_test::release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { inference_memory_test::release(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { inference_memory_test::release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { inference_memory_test::release(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { inference_memory_test::release(memory); }

namespace inference_memory_test {
using namespace attend;
using attend::testing::random_tensor;

TEST(InferenceMemory, ACnnAllocatesNothingOnceItHasRun) {
  Rng rng(1);
  const auto model = Sequential(
      ConvNormAct<float>({.in_channels = 3, .out_channels = 16, .kernel_size = 3}, rng), MaxPool2d({.kernel_size = 2}),
      Conv2d<float>({.in_channels = 16, .out_channels = 16, .kernel_size = 3, .padding = 1, .groups = 16}, rng), Relu(),
      BasicBlock<float>({.in_channels = 16, .out_channels = 24, .stride = 2}, rng),
      Conv2d<float>({.in_channels = 24, .out_channels = 16, .kernel_size = 5, .stride = 2, .padding = 2, .groups = 2},
                    rng),
      GlobalAveragePool2d(), Dense<float>({.in_features = 16, .out_features = 10}, rng));
  const auto x = random_tensor<float, 4>({2, 24, 24, 3}, 1);
  const int threads = num_threads();
  for (const int n : {1, 2}) {
    set_num_threads(n);
    auto y = model(x);
    for (int i = 0; i < 50; ++i) model.into(y, x);  // blocks of memory settle with the threads that use them
    const long before = requests;
    model.into(y, x);
    // with two threads a block may still be with the other one: a request now and then, not for each operation
    EXPECT_LE(requests - before, n == 1 ? 0 : 2) << n << " threads";
  }
  set_num_threads(threads);
}
}  // namespace inference_memory_test
