#pragma once
#include <cstddef>
#include <cstdint>
#include <new>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "attend/core/namespace.hpp"

ATTEND_BEGIN
namespace detail {

constexpr std::size_t large_page = std::size_t(2) << 20;
inline std::align_val_t memory_alignment(std::size_t bytes) {
  return std::align_val_t{bytes >= large_page ? large_page : 64};
}

/// From 2 MB on, the system is asked for pages of 2 MB for what is not yet touched of this memory: one page fault
/// instead of 512, fewer page walks, and the processor fetches ahead across more.
inline void prefer_large_pages(void* memory, std::size_t bytes) {
#ifdef __linux__
  if (bytes < large_page) return;
  const auto begin = (reinterpret_cast<std::uintptr_t>(memory) + large_page - 1) / large_page * large_page,
             end = (reinterpret_cast<std::uintptr_t>(memory) + bytes) / large_page * large_page;
  if (begin < end)  // a wish: refused, the pages are small
    ::madvise(reinterpret_cast<void*>(begin), static_cast<std::size_t>(end - begin), MADV_HUGEPAGE);
#else
  static_cast<void>(memory), static_cast<void>(bytes);
#endif
}
/// Memory from the system, aligned to cache lines, or to the pages that it prefers, of which `used` bytes will be touched.
inline void* new_memory(std::size_t bytes, std::size_t used) {
  void* const memory = ::operator new(bytes, memory_alignment(bytes));
  prefer_large_pages(memory, used);
  return memory;
}
inline void delete_memory(void* memory, std::size_t bytes) noexcept {
  ::operator delete(memory, memory_alignment(bytes));
}

}  // namespace detail
ATTEND_END
